"""Answers which models there are: those that the configuration names. No provider is asked."""

from __future__ import annotations

import time

from mitmproxy import http

from addons import convert
from addons.exchange import Exchange, Exchanges
from addons.stage import stage
from llmauth.codecs.base import JSON
from llmauth.codecs.listing import Listed, render_list, render_one
from llmauth.context import Authenticated, ClientProtocol, ProtocolRoute
from llmauth.errors import MethodNotAllowed
from llmauth.http import Headers, Response

_LISTS = frozenset({"models", "model"})
_METHODS = ("GET", "HEAD")


def _asks(exchange: Exchange) -> bool:
    return isinstance(exchange.route, ProtocolRoute) and exchange.route.operation in _LISTS


def _lists(route: ProtocolRoute) -> bool:
    return route.operation == "models"


class Listing:
    """Stands behind the routers: who asks is known, and so is which instance, where the path names one."""

    name = "listing"

    def __init__(self, exchanges: Exchanges) -> None:
        self.exchanges = exchanges
        self._since = int(time.time())

    @stage(Authenticated, only=_asks)
    def requestheaders(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """Answered at the head: nobody needs a body for it."""
        route = exchange.route
        assert isinstance(route, ProtocolRoute)
        if exchange.request.method not in _METHODS:
            message = f"{exchange.request.method} is not what a list of models takes."
            raise MethodNotAllowed(message, hint="Send a GET.", allow=_METHODS)
        # Anthropic's SDKs are told by their header, at a path that both protocols have.
        protocol: ClientProtocol = "anthropic" if "anthropic-version" in exchange.request.headers else route.protocol
        body = self._all(protocol, exchange, route) if _lists(route) else self._one(protocol, exchange, route)
        convert.answer(flow, Response(status=200, headers=Headers((JSON,)), body=body))

    def _all(self, protocol: ClientProtocol, exchange: Exchange, route: ProtocolRoute) -> bytes:
        """Those that whoever asks may use: a client that chooses from the list is not refused afterwards."""
        within, catalogue = route.instance, exchange.plan.catalogue
        named = catalogue.names() if within is None else [(name, within) for name in catalogue.names_within(within)]
        shown = (self._listed(exchange, *each) for each in named if _may(exchange, *each))
        return render_list(protocol, list(shown))

    def _one(self, protocol: ClientProtocol, exchange: Exchange, route: ProtocolRoute) -> bytes:
        """Also one that no list shows, where it is known whose it is."""
        catalogue = exchange.plan.catalogue
        if route.instance is not None and not catalogue.serves(route.instance, route.name):
            raise catalogue.unknown(route.name, route.instance)
        found = catalogue.find(route.name) if route.instance is None else None
        instance = route.instance if found is None else found.instance
        assert instance is not None
        if not _may(exchange, route.name, instance):
            raise catalogue.unknown(route.name, route.instance)
        return render_one(protocol, self._listed(exchange, route.name, instance))

    def _listed(self, exchange: Exchange, model: str, instance: str) -> Listed:
        return Listed(id=model, owner=exchange.plan.handlers[instance].provider, since=self._since)


def _may(exchange: Exchange, model: str, instance: str) -> bool:
    allowance, plan = exchange.allowance, exchange.plan
    if allowance is None:
        return False
    instances = allowance.rules.instances
    upstream = plan.handlers[instance].upstream(plan.catalogue.within(instance, model).model)
    return (instances is None or instance in instances) and allowance.allows_model(model, upstream)
