"""Lets go of configurations that were followed before, as soon as no request needs them any more."""

from __future__ import annotations

from mitmproxy.utils import asyncio_utils

from addons.exchange import Exchanges, exchange_of
from llmauth.gateway import Gateway


class Former:
    """A request needs its plan until its answer has begun: then it has its credential, and nobody is asked again."""

    def __init__(self, gateway: Gateway, exchanges: Exchanges) -> None:
        self.gateway = gateway
        self.exchanges = exchanges

    def look(self, now: float) -> None:
        """Called a few times a second."""
        if not self.gateway.has_former:
            return
        asking = (exchange_of(flow) for flow in self.exchanges.open if flow.response is None)
        needed = {id(one.plan): one.plan for one in asking if one is not None}
        task = self.gateway.let_go(list(needed.values()))
        asyncio_utils.create_task(task, name="let go of former plans", keep_ref=True)
