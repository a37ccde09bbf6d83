"""The guard round every hook of the chain: is it this hook's turn, did the request come far enough, did it fail?"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from mitmproxy import http

from addons import convert
from addons.exchange import Exchange, Exchanges
from addons.last_resort import last_resort
from llmauth.codecs.base import refuse
from llmauth.context import RequestContext
from llmauth.errors import GatewayError, InternalError, Unauthenticated
from llmauth.http import Door
from llmauth.telemetry.logs import about

logger = logging.getLogger(__name__)

_ASKS_AS_PROXY = (Door.CONNECT, Door.ABSOLUTE)


class Staged(Protocol):
    """An addon of the chain: it shares the exchanges."""

    exchanges: Exchanges


Hook = Callable[[Any, http.HTTPFlow], Awaitable[None] | None]
StagedHook = Callable[[Any, http.HTTPFlow, Exchange], Awaitable[None] | None]


def _every(exchange: Exchange) -> bool:
    return True


def stage(kind: type[RequestContext], only: Callable[[Exchange], bool] = _every) -> Callable[[StagedHook], Hook]:
    """Make a hook run only on a flow that nobody answered yet and whose context is at least `kind`.

    A flow that another addon claimed is left to it: without that one's answer it ends at the gate. `only` tells at once
    of a flow that is none of the hook's business.
    A GatewayError becomes the answer it describes, anything else a 500: the flow never goes on as if nothing happened.
    """

    def decorate(hook: StagedHook) -> Hook:
        @functools.wraps(hook)
        def guarded(self: Staged, flow: http.HTTPFlow) -> Awaitable[None] | None:
            if flow.response is not None or flow.error is not None:
                return None
            exchange = self.exchanges.of(flow)
            if only is not _every and exchange is not None and not only(exchange):
                return None
            if exchange is not None and exchange.claimed_by is not None and exchange.claimed_by is not self:
                return None
            if exchange is None or not isinstance(exchange.context, kind):
                _refuse_unknown(self.exchanges, flow)
                return None
            try:
                result = hook(self, flow, exchange)
            except Exception as error:
                fail(flow, exchange, error)
                return None
            return None if result is None else _finish(result, flow, exchange)

        return guarded

    return decorate


async def _finish(result: Awaitable[None], flow: http.HTTPFlow, exchange: Exchange) -> None:
    assert inspect.isawaitable(result)
    try:
        with about(exchange.context.request_id):
            await result
    except Exception as error:
        fail(flow, exchange, error)


def fail(flow: http.HTTPFlow, exchange: Exchange, error: Exception) -> None:
    """Answer a flow with the refusal that an exception describes, in the shape of what the client called."""
    if not isinstance(error, GatewayError):
        logger.error(
            "A stage failed; the request was refused",
            extra={"request_id": exchange.context.request_id, "error": type(error).__name__},
            exc_info=(RuntimeError, RuntimeError(type(error).__name__), error.__traceback__),
        )
        error = InternalError("The gateway failed while it judged this request.", detail=type(error).__name__)
    exchange.error = error
    as_proxy = exchange.door in _ASKS_AS_PROXY
    response = refuse(error, exchange.shape, exchange.context.request_id, proxy=as_proxy)
    convert.answer(flow, response)
    # A peer that proved nothing is not kept; only a proxy's own question (407) is answered on the same line.
    if error.close or (isinstance(error, Unauthenticated) and not as_proxy):
        assert flow.response
        flow.response.headers["connection"] = "close"


def _refuse_unknown(exchanges: Exchanges, flow: http.HTTPFlow) -> None:
    """A hook met a flow that skipped a stage: a defect of ours, and a refusal."""
    exchange = exchanges.of(flow)
    told = {} if exchange is None else {"request_id": exchange.context.request_id}
    logger.error("A request skipped a stage; it was refused", extra={"exchange": exchange is not None, **told})
    if exchange is not None:
        fail(flow, exchange, InternalError("The gateway could not judge this request.", detail="skipped a stage"))
    else:
        flow.request.stream = False
        flow.response = last_resort(500)
