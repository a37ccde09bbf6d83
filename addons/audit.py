"""The audit record of requests: what is decided is written down before its answer is out, or it is not done."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Iterable
from contextlib import suppress

from mitmproxy import http

from addons.exchange import Exchange, Exchanges
from addons.recorded import decided, ended
from addons.stage import fail, stage
from addons.wire.tunnel import tunnel_of
from llmauth.audit.tickets import Ticket
from llmauth.audit.writer import AuditLog
from llmauth.authenticators.factors import HEADER as FACTOR
from llmauth.context import Authenticated, Carried, Credentialed, RequestContext
from llmauth.errors import Unavailable
from llmauth.telemetry.access import Outcome

logger = logging.getLogger(__name__)


class Audit:
    """Stands behind all who judge.

    A record is noted in the moment of the decision and written by a thread; hardly ever does an answer wait for it,
    since a provider takes longer. Where nothing can be written, nothing is let through.
    """

    name = "audit"

    def __init__(self, log: AuditLog, exchanges: Exchanges) -> None:
        self.exchanges = exchanges
        self._log = log

    @stage(RequestContext)
    def http_connect(self, flow: http.HTTPFlow, exchange: Exchange) -> Awaitable[None] | None:
        """A tunnel that nobody reads is one decision; of one that we end each request inside is."""
        return self._note(exchange).wait() if tunnel_of(flow) is not None else None

    def http_connect_error(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        """A target that was refused."""
        return self._answered(flow)

    @stage(Authenticated)
    def request(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """A request that is about to leave."""
        if isinstance(exchange.context, Credentialed | Carried):
            self._note(exchange)

    def responseheaders(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        """An answer begins: of what was let through, or of ours."""
        return self._answered(flow)

    def error(self, flow: http.HTTPFlow) -> None:
        """A client that left before it was answered was judged all the same."""
        exchange = self.exchanges.of(flow)
        if exchange is not None and exchange.ticket is None and exchange.error is not None:
            with suppress(Unavailable):
                self._note(exchange)

    def tell(self, outcomes: Iterable[Outcome]) -> None:
        """What became of those that were let through. They have been answered, so nothing is refused here."""
        lost = 0
        for outcome in outcomes:
            if isinstance(outcome.context, Credentialed | Carried):
                try:
                    self._log.note_later(ended(outcome))
                except Unavailable:
                    lost += 1
        if lost:
            logger.error("Outcomes of requests are missing in the audit record", extra={"lost": lost})

    def _answered(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        exchange, response = self.exchanges.of(flow), flow.response
        if exchange is None or response is None:
            return None
        if exchange.ticket is None:
            if exchange.error is None and not isinstance(exchange.context, Authenticated):
                return None  # health and readiness: nobody asked who it was, and nothing was decided
            try:
                self._note(exchange, response.status_code)
            except Unavailable as error:
                self._refuse(flow, exchange, error)
                return None
        assert exchange.ticket is not None
        return None if exchange.ticket.written else self._wait(flow, exchange, exchange.ticket)

    async def _wait(self, flow: http.HTTPFlow, exchange: Exchange, ticket: Ticket) -> None:
        try:
            await ticket.wait()
        except Unavailable as error:
            self._refuse(flow, exchange, error)

    def _refuse(self, flow: http.HTTPFlow, exchange: Exchange, error: Unavailable) -> None:
        if exchange.error is None:  # a refusal is one already
            fail(flow, exchange, error)

    def _note(self, exchange: Exchange, status: int | None = None) -> Ticket:
        # A code is used up by its request, which nobody may forget: that is on the disk before the answer.
        durable = FACTOR in exchange.request.headers
        gathered = not durable and len(self.exchanges.open) > 1
        ticket = exchange.ticket = self._log.note(decided(exchange, status), durable=durable, gathered=gathered)
        return ticket
