"""mitmproxy knows our view by its name, and chooses it by itself only where there is nothing else to be seen."""

from __future__ import annotations

from mitmproxy import contentviews
from mitmproxy.contentviews import Metadata
from mitmproxy.test import taddons, tflow

from addons.viewing.contentview import NAME, Decided, offer


def test_it_is_offered_once() -> None:
    offer()
    offer()
    assert contentviews.registry.available_views().count(NAME.lower()) == 1


async def test_it_shows_what_is_told_of_a_flow() -> None:
    offer()
    flow = tflow.tflow(resp=True)
    assert flow.response
    flow.__dict__["llmauth_notes"] = "door: gateway"
    with taddons.context():
        found = contentviews.prettify_message(flow.response, flow, NAME)
        assert (found.text, found.view_name, found.syntax_highlight) == ("door: gateway", NAME, "yaml")
        assert contentviews.prettify_message(flow.response, flow).view_name != NAME
        flow.response.content = b""
        assert contentviews.prettify_message(flow.response, flow).text == "door: gateway"


def test_of_other_flows_nothing_is_known() -> None:
    assert Decided().prettify(b"x", Metadata(flow=tflow.tflow())) == "Nothing is known of this flow."
