"""mitmweb's list begins with the answer, ends somewhere, and never holds an exchange of tokens."""

from __future__ import annotations

import pytest
from mitmproxy import http
from mitmproxy.addons import view
from mitmproxy.test import taddons, tflow, tutils

from addons.exchange import Exchanges
from addons.launch.shown import Shown
from tests.addons.exchanges import exchange


def ended(size: int = 0) -> http.HTTPFlow:
    flow = tflow.tflow(req=tutils.treq(content=b"x" * size), resp=True)
    flow.live = False
    return flow


@pytest.fixture
async def listed() -> view.View:
    listed = view.View()
    with taddons.context(listed):
        return listed


async def test_a_flow_is_shown_from_the_head_of_its_answer_on(listed: view.View) -> None:
    shown, flow = Shown(listed, Exchanges()), tflow.tflow()
    assert not hasattr(shown, "requestheaders")
    assert not hasattr(shown, "request")
    shown.responseheaders(flow)
    assert list(listed) == [flow]
    shown.response(flow)
    shown.update([flow])
    assert list(listed) == [flow]


async def test_a_flow_that_fails_is_shown_as_well(listed: view.View) -> None:
    shown, flow = Shown(listed, Exchanges()), tflow.tflow(err=True)
    shown.error(flow)
    assert list(listed) == [flow]


async def test_only_so_many_are_kept(listed: view.View) -> None:
    shown, flows = Shown(listed, Exchanges(), most=3), [ended() for _ in range(5)]
    for flow in flows:
        shown.response(flow)
        shown.response(flow)
    assert listed.store_count() == 3
    assert all(listed.get_by_id(flow.id) is None for flow in flows[:2])


async def test_only_so_much_is_kept(listed: view.View) -> None:
    shown, flows = Shown(listed, Exchanges(), size=1000), [ended(400) for _ in range(4)]
    for flow in flows:
        shown.response(flow)
    assert listed.store_count() == 2
    shown.response(large := ended(5000))
    assert [listed.get_by_id(large.id)] == list(listed)


async def test_what_still_runs_is_not_taken_out(listed: view.View) -> None:
    """Taking a flow out of mitmweb's list ends it."""
    shown, running = Shown(listed, Exchanges(), most=1), ended()
    running.live = True
    shown.response(running)
    for _ in range(3):
        shown.response(ended())
    assert running in list(listed)
    assert running.error is None
    assert listed.store_count() == 2


async def test_an_exchange_of_tokens_is_never_shown(listed: view.View) -> None:
    exchanges, flow = Exchanges(), ended()
    exchanges.begin(flow, exchange(claimed_by=object()))
    shown = Shown(listed, exchanges)
    shown.responseheaders(flow)
    shown.response(flow)
    shown.error(flow)
    assert list(listed) == []
