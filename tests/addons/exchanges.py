"""Exchanges as they are at some point of the chain, without a gateway."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from mitmproxy import http

from addons.exchange import Exchange, Exchanges, arrival
from llmauth.addresses import HostPort
from llmauth.codecs.base import RefusalShape
from llmauth.codecs.openai.errors import REFUSALS
from llmauth.config.limits import Limits
from llmauth.gateway.plan import Plan, Way
from llmauth.governance.prices import Prices
from llmauth.http import Door, Headers, Request, Url
from llmauth.providers.base import ProviderHandler
from tests.addons.layers import flow

TARGET = HostPort("api.openai.com", 443)


def request(**more: Any) -> Request:
    """A GET on the gateway door."""
    url = Url("http", "gateway", 80, "/transparent/openai/v1/models")
    given: dict[str, Any] = {"method": "GET", "url": url, "headers": Headers([]), "door": Door.GATEWAY, **more}
    return Request(**given)


def plan(
    limits: Limits | None = None,
    *,
    connect: float = 10.0,
    first_byte: float = 600.0,
    shape: RefusalShape = REFUSALS,
) -> Plan:
    """As much of a plan as is asked of it where there is no gateway."""
    upstream = SimpleNamespace(connect_timeout=connect, first_byte_timeout=first_byte, request_id=True)
    settings = SimpleNamespace(upstream=upstream)
    mode, limits = SimpleNamespace(shape_of=lambda _: shape), limits or Limits()
    governor = SimpleNamespace(prices=Prices({}))
    auth = SimpleNamespace(judged=lambda request: frozenset({"x-session-token"}))
    made = SimpleNamespace(
        settings=settings, mode=mode, limits=limits, head_limits=limits.head, governor=governor, auth=auth, way=Way()
    )
    return cast(Plan, made)


def exchange(**more: Any) -> Exchange:
    """An exchange that has just arrived, for an instance called `openai`; `more` are its later fields."""
    openai = SimpleNamespace(name="openai", provider="openai", shape=REFUSALS, shape_of=lambda path: REFUSALS)
    handler = cast(ProviderHandler, openai)
    door = more.pop("door", Door.GATEWAY)
    made = Exchange(arrival("id-1"), request(door=door), door, more.pop("plan", None) or plan(), handler=handler)
    for name, value in more.items():
        setattr(made, name, value)
    return made


def begun(exchanges: Exchanges, *, resp: bool = False, **more: Any) -> tuple[http.HTTPFlow, Exchange]:
    """A flow and its exchange, running."""
    made = flow(resp=resp)
    return made, exchanges.begin(made, exchange(**more))
