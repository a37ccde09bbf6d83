"""What a caller's rules allow, and whether its limits have room: before any credential is asked for."""

from __future__ import annotations

import logging
from collections.abc import Awaitable

from mitmproxy import http

from addons.exchange import Exchange, Exchanges
from addons.judging import priced_as
from addons.settling import guessed
from addons.stage import fail, stage
from llmauth.context import Authenticated, RequestContext, Routed
from llmauth.errors import RateLimited
from llmauth.gateway import Gateway
from llmauth.governance.policy import Allowance
from llmauth.http import Door

logger = logging.getLogger(__name__)


class Policies:
    """Stands behind whoever tells who is calling: what can be judged by the head alone is judged there."""

    name = "policies"

    def __init__(self, exchanges: Exchanges) -> None:
        self.exchanges = exchanges

    @stage(RequestContext)
    def http_connect(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """A caller that proves itself only inside its tunnel is judged there, request by request."""
        if isinstance(exchange.context, Authenticated):
            target = exchange.request.tunnel
            assert target is not None
            self._judge(exchange, target.host)

    @stage(Authenticated)
    def requestheaders(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        self._judge(exchange, None if exchange.door is Door.GATEWAY else exchange.request.url.host)

    def _judge(self, exchange: Exchange, host: str | None) -> None:
        assert isinstance(exchange.context, Authenticated)
        governor, identity = exchange.plan.governor, exchange.context.identity
        exchange.allowance = governor.allowance(identity)
        governor.judge(identity, exchange.allowance, host=host)


class Admission:
    """Stands between the routers, which judged it, and the credential: nothing was fetched or signed yet."""

    name = "admission"

    def __init__(self, gateway: Gateway, exchanges: Exchanges) -> None:
        self.gateway = gateway
        self.exchanges = exchanges

    async def running(self) -> None:
        await self.gateway.limits.start()
        logger.info(self.gateway.limits.describe())

    async def done(self) -> None:
        await self.gateway.limits.stop()

    @stage(Routed)
    def request(self, flow: http.HTTPFlow, exchange: Exchange) -> Awaitable[None] | None:
        """From memory where this process counts alone; otherwise whoever counts is asked, and this request waits."""
        allowance = exchange.allowance
        assert allowance is not None
        if not allowance.scopes:
            return None
        governor, models = exchange.plan.governor, priced_as(exchange)
        try:
            exchange.admission = governor.admit_now(allowance, guessed(exchange, allowance), *models)
        except RateLimited as error:
            self._refuse(flow, exchange, error)
            return None
        return None if exchange.admission is not None else self._ask(flow, exchange, allowance, models)

    async def _ask(
        self, flow: http.HTTPFlow, exchange: Exchange, allowance: Allowance, models: tuple[str | None, ...]
    ) -> None:
        governor = exchange.plan.governor
        try:
            admission = await governor.admit(allowance, guessed(exchange, allowance), *models)
        except RateLimited as error:
            self._refuse(flow, exchange, error)
            return
        exchange.admission = admission
        if exchange.reported or flow.error is not None:  # the client left while we asked, and nobody else will say so
            admission.release()

    def _refuse(self, flow: http.HTTPFlow, exchange: Exchange, error: RateLimited) -> None:
        """With the fields by which the client's SDK tells when to try again."""
        fail(flow, exchange, error)
        assert flow.response
        flow.response.headers.fields += exchange.plan.governor.refused_fields(exchange.shape.name, error.standing)
        self.gateway.metrics.limit_reached(error.limit or "limit")
