"""What a plan and a way tell by themselves."""

from __future__ import annotations

from llmauth.addresses import HostPort
from llmauth.gateway.plan import Way


def test_a_name_may_lead_inside_where_it_is_named_or_resolved() -> None:
    way = Way(resolve={"vpce.corp": HostPort("10.0.0.1", 443)}, allow_private=frozenset({"llm.corp"}))
    assert (way.may_be_private("vpce.corp"), way.may_be_private("llm.corp")) == (True, True)
    assert not way.may_be_private("api.openai.com")
    assert not Way().may_be_private("api.openai.com")
