"""What mitmweb shows: flows from the head of their answer on, when no credential is in them, and not for ever."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from mitmproxy import flow as flows
from mitmproxy import http

from addons.exchange import Exchanges

FLOWS = 500
BYTES = 64 * 1024 * 1024


class Shown:
    """Stands between the chain and mitmweb's view, under the view's name.

    The view itself takes a flow in as soon as the head of its request is there, which is before anything was masked,
    and keeps it until somebody clears the list.
    """

    name = "view"

    def __init__(self, view: Any, exchanges: Exchanges, most: int = FLOWS, size: int = BYTES) -> None:
        self._view = view
        self._exchanges = exchanges
        self._most = most
        self._size = size
        self._ended: OrderedDict[str, tuple[http.HTTPFlow, int]] = OrderedDict()
        self._total = 0

    def configure(self, updated: set[str]) -> None:
        self._view.configure(updated)

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        if not self._is_exchange_of_tokens(flow):
            self._view.add([flow])

    def response(self, flow: http.HTTPFlow) -> None:
        self._end(flow)

    def error(self, flow: http.HTTPFlow) -> None:
        self._end(flow)

    def update(self, changed: Sequence[flows.Flow]) -> None:
        self._view.update(changed)

    def _is_exchange_of_tokens(self, flow: http.HTTPFlow) -> bool:
        """Whether an addon of ours answers in a provider's stead: question and answer are credentials of the caller."""
        exchange = self._exchanges.of(flow)
        return exchange is not None and exchange.claimed_by is not None

    def _end(self, flow: http.HTTPFlow) -> None:
        if self._is_exchange_of_tokens(flow):
            return
        self._view.add([flow])
        self._view.update([flow])
        self._forget(flow.id)
        self._ended[flow.id] = flow, _size(flow)
        self._total += _size(flow)
        while len(self._ended) > self._most or self._total > self._size:
            # Taking one out that still runs, such as a WebSocket, would end it.
            oldest = next((one for one, _ in self._ended.values() if one is not flow and not one.live), None)
            if oldest is None:
                return
            self._forget(oldest.id)
            self._view.remove([oldest])

    def _forget(self, number: str) -> None:
        _, size = self._ended.pop(number, (None, 0))
        self._total -= size


def _size(flow: http.HTTPFlow) -> int:
    return sum(len(message.raw_content or b"") for message in (flow.request, flow.response) if message is not None)
