"""What a page shows of the flows that pass: masked copies, made a little later beside the requests, for a while."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import wraps

from mitmproxy import http

from addons.exchange import Exchanges
from addons.viewing.copies import blank, draw
from addons.viewing.listed import Listed
from addons.viewing.onlooker import Onlooker
from addons.viewing.seen import Seen
from addons.wire.tunnel import tunnel_of
from llmauth.context import RequestContext
from llmauth.telemetry.access import Outcome

logger = logging.getLogger(__name__)

FLOWS = 500
BYTES = 64 * 1024 * 1024

_LATE = 0.1  # seconds until a change is drawn
_AT_ONCE = 0.03  # seconds of drawing after which other work has its turn
_REST = 20  # how many times as long as a drawing took its flow is not drawn again, but at its end
_LONGEST_UNTOLD = 1.0  # seconds that an end waits to be told of what it cost


Hook = Callable[["Shown", http.HTTPFlow], None]


def _harmless(hook: Hook) -> Hook:
    """A page must not cost anybody a request: what fails here is logged, and the flow is not shown."""

    @wraps(hook)
    def guarded(self: Shown, flow: http.HTTPFlow) -> None:
        try:
            if not self.is_over(flow):
                hook(self, flow)
        except Exception as error:
            logger.warning("A flow cannot be shown", extra={"error": type(error).__name__})
            self.forget(flow.id)

    return guarded


class Shown:
    """Stands behind the chain. Its hooks note where things are, and nothing more; a timer masks and draws.

    No real flow is ever handed on. `most` and `size` bound what is kept, as flows and bytes.
    """

    name = "view"

    def __init__(self, listed: Listed, exchanges: Exchanges, most: int = FLOWS, size: int = BYTES) -> None:
        self._listed = listed
        self._exchanges = exchanges
        self._most = most
        self._size = size
        self._kept: OrderedDict[str, Seen] = OrderedDict()
        self._total = 0
        self._changed: OrderedDict[str, None] = OrderedDict()
        self._untold: dict[int, tuple[RequestContext, Seen]] = {}  # by the identity of that context
        self._timer: asyncio.TimerHandle | None = None

    @_harmless
    def requestheaders(self, flow: http.HTTPFlow) -> None:
        self._seen(flow).note_request(flow, signed=False)

    @_harmless
    def request(self, flow: http.HTTPFlow) -> None:
        self._seen(flow).note_request(flow, signed=self._is_signed(flow))

    @_harmless
    def responseheaders(self, flow: http.HTTPFlow) -> None:
        seen, exchange = self._seen(flow), self._exchanges.of(flow)
        assert flow.response
        seen.note_answer(flow.response, whole=False)
        if exchange is not None:
            exchange.onlooker = seen.onlooker = Onlooker(lambda: self._change(seen))

    @_harmless
    def response(self, flow: http.HTTPFlow) -> None:
        seen = self._seen(flow)
        assert flow.response
        seen.note_answer(flow.response, whole=True)
        if flow not in self._exchanges.sockets:
            self._end(seen)

    @_harmless
    def error(self, flow: http.HTTPFlow) -> None:
        seen = self._seen(flow)
        if flow.response is not None:
            seen.note_answer(flow.response, whole=True)
        self._end(seen)

    @_harmless
    def socket_closed(self, flow: http.HTTPFlow) -> None:
        self._end(self._seen(flow))

    @_harmless
    def stopped(self, flow: http.HTTPFlow) -> None:
        self._end(self._seen(flow))

    @_harmless
    def http_connect_error(self, flow: http.HTTPFlow) -> None:
        self._connected(flow)

    @_harmless
    def http_connected(self, flow: http.HTTPFlow) -> None:
        """Of tunnels that we read each request is shown by itself, and of one that nobody reads this is all."""
        if tunnel_of(flow) is not None:
            self._connected(flow)

    def _connected(self, flow: http.HTTPFlow) -> None:
        seen = self._seen(flow)
        seen.note_request(flow, signed=False)
        if flow.response is not None:
            seen.note_answer(flow.response, whole=True)
        self._end(seen)

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        """What requests have cost, a moment after their end."""
        for outcome in outcomes:
            _, seen = self._untold.pop(id(outcome.context), (None, None))
            if seen is not None:
                seen.outcome = outcome
                self._change(seen)

    def done(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    # ---- what is noted ---------------------------------------------------------------------------------------------

    def is_over(self, flow: http.HTTPFlow) -> bool:
        """Whether its end was drawn."""
        seen = self._kept.get(flow.id)
        return seen is not None and seen.flow is None

    def _seen(self, flow: http.HTTPFlow) -> Seen:
        seen = self._kept.get(flow.id)
        if seen is None:
            seen = self._kept[flow.id] = Seen(flow, self._exchanges.of(flow), blank(flow))
            seen.note_request(flow, signed=self._is_signed(flow))
        self._change(seen)
        return seen

    def _is_signed(self, flow: http.HTTPFlow) -> bool:
        exchange = self._exchanges.of(flow)
        return exchange is not None and exchange.approved_at is not None

    def _end(self, seen: Seen) -> None:
        if seen.ended_at is None:
            seen.ended_at = time.monotonic()
            if seen.exchange is not None:
                self._untold[id(seen.exchange.context)] = seen.exchange.context, seen
        self._change(seen)

    def _change(self, seen: Seen) -> None:
        self._changed[seen.copy.id] = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_LATE, self._draw)

    def forget(self, number: str) -> None:
        """Keep and show it no longer."""
        seen = self._kept.pop(number, None)
        self._changed.pop(number, None)
        if seen is None:
            return
        self._total -= seen.size
        if seen.exchange is not None:
            seen.exchange.onlooker = None
        self._tell_no_more(seen)
        self._listed.take(number)

    # ---- what is drawn ---------------------------------------------------------------------------------------------

    def _draw(self) -> None:
        self._timer = None
        self._shrink()
        began, later = time.monotonic(), list[str]()
        while self._changed and time.monotonic() - began < _AT_ONCE:
            number, _ = self._changed.popitem(last=False)
            seen = self._kept.get(number)
            if seen is not None and not self._draw_one(seen, began):
                later.append(number)
        self._changed.update(dict.fromkeys(later))
        self._shrink()
        if self._changed and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_LATE, self._draw)

    def _draw_one(self, seen: Seen, now: float) -> bool:
        """Whether no more of it is to be drawn, as far as is known."""
        last = seen.ended_at is not None and not self._waits(seen, now)
        if not last and now < seen.again_at:
            return False
        if last:
            self._tell_no_more(seen)
        began = time.monotonic()
        try:
            draw(seen, last=last)
            self._listed.put(seen.copy)
        except Exception as error:
            logger.warning("A flow cannot be shown", extra={"error": type(error).__name__})
            self.forget(seen.copy.id)
            return True
        # One whose end was drawn before it was told what it has cost has but to wait for that.
        seen.again_at = began + _REST * (time.monotonic() - began) if seen.ended_at is None else now + _LONGEST_UNTOLD
        self._weigh(seen)
        return last or seen.ended_at is None

    def _tell_no_more(self, seen: Seen) -> None:
        for key in [key for key, (_, one) in self._untold.items() if one is seen]:
            del self._untold[key]

    def _waits(self, seen: Seen, now: float) -> bool:
        """For what it has cost."""
        assert seen.ended_at is not None
        untold = any(one is seen for _, one in self._untold.values())
        return untold and now - seen.ended_at < _LONGEST_UNTOLD

    def _weigh(self, seen: Seen) -> None:
        if seen.copy.id in self._kept:
            size = seen.weigh()
            self._total += size - seen.size
            seen.size = size

    def _shrink(self) -> None:
        for number in self._changed:
            seen = self._kept.get(number)
            if seen is not None:
                self._weigh(seen)
        while self._kept and (len(self._kept) > self._most or self._total > self._size):
            # Those that are over go first; one that runs comes back when there is more to be seen of it.
            over = next((number for number, seen in self._kept.items() if seen.flow is None), None)
            self.forget(next(iter(self._kept)) if over is None else over)
