"""The manager: what each kind of hook leaves behind when it fails, in what order hooks run, and how long they may."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from mitmproxy import hooks, http, options
from mitmproxy.addonmanager import Loader
from mitmproxy.connection import Server
from mitmproxy.exceptions import AddonHalt, OptionsError
from mitmproxy.flow import Error
from mitmproxy.proxy.layer import NextLayer, NextLayerHook
from mitmproxy.proxy.layers.http import HttpConnectHook, HttpRequestHeadersHook, HttpRequestHook, HttpResponseHook
from mitmproxy.proxy.server_hooks import ClientConnectedHook, ServerConnectHook, ServerConnectionHookData
from mitmproxy.tls import ClientHelloData, TlsData

from addons.exchange import Exchanges
from addons.failclosed import FAILED, FailClosed, Settled, stop
from addons.wire.closed import Closed
from tests.addons import flows
from tests.addons.layers import client, context


class Odd(BaseException):
    """Nothing that `except Exception` sees."""


def manager(*addons: object, limit: float = 5.0) -> FailClosed:
    master: Any = SimpleNamespace(options=options.Options(), commands=SimpleNamespace(collect_commands=lambda _: None))
    made = FailClosed(master, limit)
    made.add(*addons)
    return made


async def finished(made: FailClosed, hook: hooks.Hook) -> None:
    """Dispatch a hook of which something is left to wait for, and wait for it."""
    rest = made.dispatch(hook)
    assert rest is not None
    await rest


def addon(name: str, **functions: Any) -> Any:
    return SimpleNamespace(name=name, **functions)


def failing(error: BaseException) -> Callable[..., None]:
    def hook(*_: object) -> None:
        raise error

    return hook


@pytest.fixture
def flow(exchanges: Exchanges) -> http.HTTPFlow:
    return flows.gateway(exchanges)


# ---- what is left behind -------------------------------------------------------------------------------------------

ERRORS = [RuntimeError("x"), KeyError("x"), OptionsError("x"), AddonHalt(), asyncio.CancelledError(), Odd()]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("hook", [HttpConnectHook, HttpRequestHeadersHook, HttpRequestHook])
def test_a_request_is_answered(flow: http.HTTPFlow, hook: type[Any], error: BaseException) -> None:
    flow.request.stream = True
    flow.request.headers["expect"] = "100-continue"
    later: list[object] = []
    one, other = addon("one", **{hook.name: failing(error)}), addon("other", **{hook.name: later.append})
    assert manager(one, other).dispatch(hook(flow)) is None
    assert flow.response.status_code == 500
    assert flow.request.stream is False
    assert "expect" not in flow.request.headers
    assert later == [], "nobody after it is asked"


@pytest.mark.parametrize("name", ["server_ready", "responseheaders", "response"])
def test_an_answer_is_cut(flow: http.HTTPFlow, name: str) -> None:
    stop(name, flow)
    assert flow.error is not None
    assert flow.error.msg == Error.KILLED_MESSAGE


def test_m1_whoever_keeps_count_of_flows_hears_of_one_that_was_stopped(flow: http.HTTPFlow) -> None:
    """Also where one of them fails; of a request that is answered its answer's hooks tell."""
    heard: list[object] = []
    count = addon("count", stopped=lambda flow: heard.append(flow.error.msg))
    made = manager(
        addon("one", response=failing(RuntimeError()), request=failing(RuntimeError()), stopped=failing(ValueError())),
        count,
    )
    made.dispatch(HttpRequestHook(flow))
    assert heard == []
    made.dispatch(HttpResponseHook(flow))
    assert heard == [Error.KILLED_MESSAGE]


def test_a_tunnel_that_just_opened_is_given_up(flow: http.HTTPFlow) -> None:
    stop("http_connected", flow)
    assert flow.client_conn.error == FAILED


@pytest.mark.parametrize("name", ["error", "http_connect_error"])
def test_an_answer_to_a_failure_stays(flow: http.HTTPFlow, name: str) -> None:
    flows.answered(flow, 502)
    stop(name, flow)
    assert flow.response.status_code == 502
    assert flow.error is None


@pytest.mark.parametrize("name", ["server_connect", "server_connected"])
def test_a_provider_connection_is_refused(name: str) -> None:
    data = ServerConnectionHookData(Server(address=("api.openai.com", 443)), client())
    stop(name, data)
    assert data.server.error == FAILED


def test_a_client_is_refused() -> None:
    one = client()
    stop("client_connected", one)
    assert one.error == FAILED


def test_a_handshake_cannot_begin_and_is_never_used() -> None:
    for side in ("client", "server"):
        made = context()
        data = TlsData(getattr(made, side), made, ssl_conn=SimpleNamespace())  # type: ignore[arg-type]
        stop(f"tls_start_{side}", data)
        assert data.ssl_conn is None
        assert data.conn.error == FAILED


def test_a_hello_is_not_followed() -> None:
    made = context()
    stop("tls_clienthello", ClientHelloData(made, SimpleNamespace()))  # type: ignore[arg-type]
    assert made.client.error == FAILED


def test_a_layer_is_one_that_closes() -> None:
    data = NextLayer(context())
    stop("next_layer", data)
    assert isinstance(data.layer, Closed)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1)])
def test_who_wants_to_end_the_process_may(flow: http.HTTPFlow, error: BaseException) -> None:
    with pytest.raises(type(error)):
        manager(addon("one", request=failing(error))).dispatch(HttpRequestHook(flow))
    assert flow.response.status_code == 500


def test_the_text_of_an_error_is_not_logged(flow: http.HTTPFlow, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        manager(addon("one", request=failing(ValueError("a secret")))).dispatch(HttpRequestHook(flow))
    (record,) = caplog.records
    assert (record.hook, record.error) == ("request", "ValueError")  # type: ignore[attr-defined]
    assert "a secret" not in caplog.text
    assert "test_failclosed.py" in caplog.text, "but it tells where"


# ---- the order, and what waits -------------------------------------------------------------------------------------


async def test_hooks_run_in_the_order_of_the_chain_also_when_they_wait(flow: http.HTTPFlow) -> None:
    order: list[str] = []

    def now(name: str) -> Callable[[object], None]:
        return lambda _: order.append(name)

    def later(name: str) -> Callable[[object], Any]:
        async def hook(_: object) -> None:
            await asyncio.sleep(0)
            order.append(name)

        return hook

    one = manager(
        *(addon(n, request=f(n)) for n, f in (("a", now), ("b", later), ("c", now), ("d", later), ("e", now)))
    )
    rest = one.dispatch(HttpRequestHook(flow))
    assert order == ["a"]
    assert rest is not None
    await rest
    assert order == ["a", "b", "c", "d", "e"]
    assert flow.response is None


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
async def test_a_hook_that_fails_after_waiting_is_stopped_too(flow: http.HTTPFlow, error: BaseException) -> None:
    async def hook(_: object) -> None:
        await asyncio.sleep(0)
        raise error

    later: list[object] = []
    await finished(manager(addon("one", request=hook), addon("two", request=later.append)), HttpRequestHook(flow))
    assert flow.response.status_code == 500
    assert later == []


async def test_a_hook_that_fails_behind_one_that_waited_is_stopped_too(flow: http.HTTPFlow) -> None:
    async def wait(_: object) -> None:
        await asyncio.sleep(0)

    await finished(
        manager(addon("one", request=wait), addon("two", request=failing(KeyError()))), HttpRequestHook(flow)
    )
    assert flow.response.status_code == 500


async def test_a_hook_may_take_so_long_and_no_longer(flow: http.HTTPFlow) -> None:
    async def hang(_: object) -> None:
        await asyncio.Event().wait()

    async with asyncio.timeout(2):
        await finished(manager(addon("one", request=hang), limit=0.01), HttpRequestHook(flow))
    assert flow.response.status_code == 500


async def test_who_is_cancelled_from_outside_ends_and_leaves_the_flow_stopped(flow: http.HTTPFlow) -> None:
    async def hang(_: object) -> None:
        await asyncio.Event().wait()

    rest = manager(addon("one", request=hang)).dispatch(HttpRequestHook(flow))
    assert rest is not None
    task = asyncio.ensure_future(rest)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert flow.response.status_code == 500


def test_an_addon_inside_an_addon_is_asked(flow: http.HTTPFlow) -> None:
    seen: list[object] = []
    outer = addon("outer", addons=[addon("inner", request=seen.append)])
    manager(outer).dispatch(HttpRequestHook(flow))
    assert seen == [flow]


def test_an_addon_that_comes_or_goes_is_noticed(flow: http.HTTPFlow) -> None:
    first: list[object] = []
    second: list[object] = []
    one, two = addon("one", request=first.append), addon("two", request=second.append)
    made = manager(one)
    made.dispatch(HttpRequestHook(flow))
    made.add(two)
    made.dispatch(HttpRequestHook(flow))
    made.remove(one)
    made.dispatch(HttpRequestHook(flow))
    made.clear()
    made.dispatch(HttpRequestHook(flow))
    assert (len(first), len(second)) == (2, 2)


def test_a_view_that_fails_harms_no_flow(flow: http.HTTPFlow, caplog: pytest.LogCaptureFixture) -> None:
    manager(addon("view", update=failing(RuntimeError("x")))).dispatch(HttpResponseHook(flow))
    assert flow.error is None
    assert "update" in [record.hook for record in caplog.records]  # type: ignore[attr-defined]


async def test_the_other_way_in_is_guarded_as_well(exchanges: Exchanges) -> None:
    """mitmproxy calls the hooks of connections by another function than those of layers."""
    made = manager(addon("one", client_connected=failing(KeyError()), server_connect=failing(KeyError())))
    one, data = client(), ServerConnectionHookData(Server(address=("x", 1)), client())
    await made.handle_lifecycle(ClientConnectedHook(one))
    await made.trigger_event(ServerConnectHook(data))
    assert one.error == FAILED
    assert data.server.error == FAILED


def test_a_layer_hook_is_dispatched_like_any_other() -> None:
    data = NextLayer(context())
    manager(addon("one", next_layer=failing(Odd()))).dispatch(NextLayerHook(data))
    assert isinstance(data.layer, Closed)


# ---- the start and the end -----------------------------------------------------------------------------------------


@dataclass
class _Loaded:
    """An addon that notes what it is told at the start and at the end."""

    name: str
    told: list[str]
    fails: str = ""

    def _tell(self, hook: str) -> None:
        self.told.append(f"{self.name} {hook}")
        if hook == self.fails:
            raise RuntimeError(hook)

    def load(self, loader: Loader) -> None:
        self._tell("load")

    def configure(self, updated: set[str]) -> None:
        self._tell("configure")

    def running(self) -> None:
        self._tell("running")

    def done(self) -> None:
        self._tell("done")


def test_an_addon_that_cannot_load_is_not_added() -> None:
    with pytest.raises(RuntimeError):
        manager(_Loaded("one", [], "load"))


def test_an_addon_that_cannot_read_its_options_is_no_line_in_the_log() -> None:
    told: list[str] = []
    made = manager(_Loaded("one", told, "configure"), _Loaded("two", told))
    with pytest.raises(RuntimeError):
        made.trigger(hooks.ConfigureHook(set()))
    assert "two configure" not in told


async def test_an_addon_that_cannot_run_ends_the_start() -> None:
    told: list[str] = []
    made = manager(_Loaded("one", told), _Loaded("two", told, "running"), _Loaded("three", told))
    with pytest.raises(RuntimeError):
        await made.trigger_event(hooks.RunningHook())
    assert "three running" not in told


async def test_an_addon_that_hangs_ends_the_start() -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await manager(addon("one", running=hang), limit=0.01).trigger_event(hooks.RunningHook())


async def test_the_end_is_told_to_all_whoever_fails() -> None:
    told: list[str] = []
    made = manager(_Loaded("one", told, "done"), _Loaded("two", told))
    await made.trigger_event(hooks.DoneHook())
    assert told[-2:] == ["one done", "two done"]


def test_a_hook_without_an_addon_costs_nothing(flow: http.HTTPFlow) -> None:
    rest = manager().dispatch(HttpRequestHook(flow))
    assert not inspect.isawaitable(rest)


# ---- what an addon has settled for others --------------------------------------------------------------------------


def test_who_is_settled_is_left_out_of_this_hook_and_all_others_are_asked() -> None:
    seen: list[str] = []
    asked = [addon(name, request=lambda _, name=name: seen.append(name)) for name in "abcd"]
    settled = Settled((asked[0], asked[2]))
    made = manager(addon("before", request=lambda _: seen.append("before")), addon("memory"), *asked)
    memory = made.get("memory")
    memory.request = lambda _: settled
    memory.response = lambda _: None
    for each in asked:
        each.response = lambda _, name=each.name: seen.append(f"{name} answered")
    made.add()
    flow = flows.gateway(Exchanges())
    for _ in range(2):
        assert made.dispatch(HttpRequestHook(flow)) is None
        assert made.dispatch(HttpResponseHook(flow)) is None
    once = ["before", "b", "d", *(f"{name} answered" for name in "abcd")]
    assert seen == once * 2


def test_an_addon_that_comes_later_is_not_settled_by_what_was_remembered() -> None:
    seen: list[str] = []
    first = addon("first", request=lambda _: seen.append("first"))
    made = manager(addon("memory", request=lambda _: Settled((first,))), first)
    flow = flows.gateway(Exchanges())
    made.dispatch(HttpRequestHook(flow))
    made.add(addon("second", request=lambda _: seen.append("second")))
    made.dispatch(HttpRequestHook(flow))
    assert seen == ["second"]


def test_who_fails_behind_what_was_settled_stops_the_flow() -> None:
    first = addon("first", request=lambda _: None)
    made = manager(addon("memory", request=lambda _: Settled((first,))), first, addon("x", request=failing(Odd())))
    flow = flows.gateway(Exchanges())
    made.dispatch(HttpRequestHook(flow))
    assert flow.response is not None
    assert flow.response.status_code == 500


async def test_who_waits_behind_what_was_settled_is_waited_for() -> None:
    seen: list[str] = []

    async def waits(_: object) -> None:
        await asyncio.sleep(0)
        seen.append("waited")

    first = addon("first", request=lambda _: seen.append("first"))
    last = addon("last", request=lambda _: seen.append("last"))
    made = manager(addon("memory", request=lambda _: Settled((first,))), first, addon("w", request=waits), last)
    await finished(made, HttpRequestHook(flows.gateway(Exchanges())))
    assert seen == ["waited", "last"]


async def test_who_is_settled_is_left_out_also_when_one_before_had_to_be_waited_for() -> None:
    """Another script of a stock tool stands before the chain, and may be `async`."""
    seen: list[str] = []

    async def waits(_: object) -> None:
        await asyncio.sleep(0)

    async def waits_behind(_: object) -> None:
        await asyncio.sleep(0)
        seen.append("waited")

    first = addon("first", request=lambda _: seen.append("first"))
    last = addon("last", request=lambda _: seen.append("last"))
    memory = addon("memory", request=lambda _: Settled((first,)))
    made = manager(addon("script", request=waits), memory, first, addon("behind", request=waits_behind), last)
    for _ in range(2):
        await finished(made, HttpRequestHook(flows.gateway(Exchanges())))
    assert seen == ["waited", "last"] * 2


async def test_what_a_hook_settles_after_it_waited_counts_as_well() -> None:
    seen: list[str] = []
    first = addon("first", request=lambda _: seen.append("first"))

    async def settles(_: object) -> Settled:
        await asyncio.sleep(0)
        return Settled((first,))

    made = manager(addon("memory", request=settles), first, addon("last", request=lambda _: seen.append("last")))
    await finished(made, HttpRequestHook(flows.gateway(Exchanges())))
    assert seen == ["last"]


async def test_who_fails_behind_what_was_settled_late_stops_the_flow() -> None:
    async def waits(_: object) -> None:
        await asyncio.sleep(0)

    first = addon("first", request=lambda _: None)
    memory = addon("memory", request=lambda _: Settled((first,)))
    made = manager(addon("script", request=waits), memory, first, addon("x", request=failing(Odd())))
    flow = flows.gateway(Exchanges())
    await finished(made, HttpRequestHook(flow))
    assert flow.response is not None
    assert flow.response.status_code == 500


def test_what_one_hook_settled_is_not_what_it_settles_next() -> None:
    """Who is left out is remembered, and must not be remembered for others."""
    seen: list[str] = []
    one, other = (addon(name, request=lambda _, name=name: seen.append(name)) for name in ("one", "other"))
    turns = iter([Settled((one,)), Settled((other,)), Settled(())])
    made = manager(addon("memory", request=lambda _: next(turns)), one, other)
    for _ in range(3):
        made.dispatch(HttpRequestHook(flows.gateway(Exchanges())))
    assert seen == ["other", "one", "one", "other"]
