"""What was sealed stays together: whoever takes a part of it away ends the process."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from mitmproxy import http, options
from mitmproxy.addons.script import Script
from mitmproxy.master import Master
from mitmproxy.proxy.layers.http import HttpRequestHook
from mitmproxy.test import tflow

from addons.launch.sealed import BROKEN, UNLOADED, Sealed


class Halted(BaseException):
    """Stands for the end of the process."""


def halted(why: str) -> NoReturn:
    raise Halted(why)


class Named:
    def __init__(self, name: str, *addons: Any) -> None:
        self.name = name
        self.addons = list(addons)
        self.seen: list[http.HTTPFlow] = []

    def request(self, flow: http.HTTPFlow) -> None:
        self.seen.append(flow)


@pytest.fixture
async def sealed() -> Sealed:
    return Sealed(Master(options.Options()), halted)


async def test_a_part_or_what_holds_one_cannot_be_removed(sealed: Sealed) -> None:
    part = Named("part")
    script = Named("script", part)
    other = Named("other")
    sealed.add(script, other)
    sealed.seal([part])
    for going in (part, script):
        with pytest.raises(Halted, match=UNLOADED):
            sealed.remove(going)
    sealed.remove(other)
    assert "other" not in sealed.lookup


async def test_the_list_cannot_be_cleared(sealed: Sealed) -> None:
    sealed.clear()
    sealed.add(part := Named("part"))
    sealed.seal([part])
    with pytest.raises(Halted):
        sealed.clear()


async def test_a_part_that_is_missing_is_noticed_when_hooks_are_looked_up(sealed: Sealed) -> None:
    parts = [Named("a"), Named("b")]
    sealed.add(*parts)
    sealed.seal(parts)
    sealed.dispatch(HttpRequestHook(tflow.tflow()))
    sealed.chain.remove(parts[0])
    sealed.dispatch(HttpRequestHook(tflow.tflow()))
    assert [len(part.seen) for part in parts] == [2, 2], "who is called was settled before"
    sealed._handlers.clear()
    with pytest.raises(Halted):
        sealed.dispatch(HttpRequestHook(tflow.tflow()))


async def test_an_addon_that_is_adopted_is_not_loaded_again(sealed: Sealed) -> None:
    loaded: list[object] = []
    inner = SimpleNamespace(name="inner", load=loaded.append)
    sealed.adopt(SimpleNamespace(name="outer", load=loaded.append, addons=[inner]))
    assert loaded == []
    assert sealed.get("inner") is inner
    assert len(sealed) == 1


async def test_while_serving_every_script_is_loaded(sealed: Sealed) -> None:
    script = Script.__new__(Script)  # as it is after a file that cannot be read; its maker would start a watcher
    script.name, script.ns, script.reloadtask = "other", None, None
    sealed.chain.append(Named("loader", script))
    await sealed.handle_lifecycle(HttpRequestHook(tflow.tflow()))
    sealed.serve()
    sealed.register(Named("another"))
    with pytest.raises(Halted, match=BROKEN):
        await sealed.handle_lifecycle(HttpRequestHook(tflow.tflow()))
