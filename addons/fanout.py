"""One request that its provider's API takes in several: the first is the flow's own, the others are sent beside it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial

from mitmproxy import flow as flows
from mitmproxy import http

from addons.answers import GOOD, check_head, fail_served
from addons.crew import Crew
from addons.exchange import Exchange, Exchanges
from addons.inject import rejected
from llmauth.codecs.embeddings.base import Vectors
from llmauth.errors import GatewayError, InternalError, UpstreamTimeout
from llmauth.forwarding import outgoing
from llmauth.http import Request
from llmauth.outbound import Answer
from llmauth.providers.base import ProviderHandler, Verdict
from llmauth.reflection import hide, mask, secrets_of

# Less than a hook may take (30 s), so that the reason told is the real one.
TIME_LIMIT = 25.0
# How many calls of one request are under way at once, and how many requests may have such calls.
AT_ONCE = 8
REQUESTS_AT_ONCE = 16
# How long the answer to one call may be: a hundred vectors of the longest kind are six of these megabytes.
MOST_BYTES = 8 * 1024 * 1024
_LOOK_EVERY = 0.1
_REFUSALS = 400

Job = Callable[[], Vectors]


class _Refused(Exception):
    """The provider refused the credential; whoever may take it back is on the event loop."""

    def __init__(self, verdict: Verdict, status: int) -> None:
        super().__init__()
        self.verdict = verdict
        self.status = status


class _Gone(Exception):
    """The client has left."""


class Fanout:
    """Nothing is sent beside a flow before its own request was signed, approved by the gate, sent on a connection that
    was checked, and answered well: what a provider refuses is refused once, and not two hundred times."""

    name = "fanout"

    def __init__(self, exchanges: Exchanges) -> None:
        self.exchanges = exchanges
        self._room = asyncio.Semaphore(REQUESTS_AT_ONCE)

    def response(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        """The first is in: its companions go, and it waits for all of them, or for none."""
        exchange = self.exchanges.of(flow)
        if exchange is None or exchange.authorize is None or not exchange.whole or exchange.error is not None:
            return None
        assert flow.response
        return self._gather(flow, exchange) if flow.response.status_code in GOOD else None

    async def _gather(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        ends = time.monotonic() + TIME_LIMIT
        work = asyncio.get_running_loop().create_task(self._work(self._jobs(exchange, ends)))
        try:
            exchange.read_beside = await _awaited(flow, exchange, work, ends)
        except _Gone:
            flow.error = flows.Error(flows.Error.KILLED_MESSAGE)
        except _Refused as refused:
            fail_served(flow, exchange, rejected(exchange, refused.verdict, refused.status))
        except Exception as error:
            fail_served(flow, exchange, error)
        finally:
            work.cancel()

    async def _work(self, jobs: Sequence[Job]) -> list[Vectors]:
        await self._room.acquire()
        # The room is free when the last thread is, and not when the client has left.
        loop = asyncio.get_running_loop()
        crew = Crew(jobs, over=partial(_release, loop, self._room))
        try:
            return await asyncio.wrap_future(crew.start(AT_ONCE))
        finally:
            crew.stop()

    def _jobs(self, exchange: Exchange, ends: float) -> Sequence[Job]:
        prepared = exchange.prepared
        assert prepared is not None
        assert prepared.beside is not None
        return [partial(self._send, exchange, number, ends) for number in range(1, len(prepared.beside.pieces))]

    def _send(self, exchange: Exchange, number: int, ends: float) -> Vectors:
        """In a thread: one call, signed with the credential of the flow's own request, for the place of that one."""
        prepared, handler = exchange.prepared, exchange.handler
        assert prepared is not None
        assert prepared.beside is not None
        assert handler is not None
        signed = self._signed(exchange, prepared.request.altered(body=prepared.beside.pieces[number].body))
        left = min(ends - time.monotonic(), exchange.plan.settings.upstream.first_byte_timeout)
        if left <= 0:
            raise _late(handler)
        answer = exchange.plan.outbound.post(signed, time_limit=left, most=MOST_BYTES)
        _heed(handler, answer)
        secrets = secrets_of(signed.headers.fields)
        body = mask(secrets, answer.body) if answer.status >= _REFUSALS else answer.body
        try:
            return prepared.beside.read(number, answer.status, answer.headers, body)
        except GatewayError as error:
            raise hide(secrets, error) from None

    def _signed(self, exchange: Exchange, request: Request) -> Request:
        """Bound by its handler as every request is, and to the one host that the gate approved of for this flow."""
        assert exchange.prepared is not None
        assert exchange.handler is not None
        assert exchange.authorize is not None
        told = exchange.context.request_id if exchange.plan.settings.upstream.request_id else None
        signed = exchange.authorize(outgoing(request, exchange.prepared.route, exchange.handler, told))
        if signed.url.scheme != "https" or signed.url.origin != exchange.approved:
            raise InternalError("A part of the request would have left for another place than the first.")
        return signed


def _release(loop: asyncio.AbstractEventLoop, room: asyncio.Semaphore) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(room.release)


def _heed(handler: ProviderHandler, answer: Answer) -> None:
    """What an answer says of the credential, and whether it can be read at all."""
    verdict = handler.verdict(answer.status, answer.headers)
    if verdict is Verdict.UNTOLD:
        verdict = handler.verdict_of_body(answer.status, answer.headers, answer.body)
    if verdict is not Verdict.PASSES:
        raise _Refused(verdict, answer.status)
    check_head(answer.status, answer.headers.index())


async def _awaited(
    flow: http.HTTPFlow, exchange: Exchange, work: asyncio.Task[list[Vectors]], ends: float
) -> list[Vectors]:
    """What was read, in order, while there is somebody to tell it to and time for it."""
    assert exchange.handler is not None
    while not work.done():
        if not flow.client_conn.connected:
            raise _Gone
        if exchange.timed_out or time.monotonic() > ends:
            raise _late(exchange.handler)
        await asyncio.wait({work}, timeout=_LOOK_EVERY)
    return work.result()


def _late(handler: ProviderHandler) -> UpstreamTimeout:
    return UpstreamTimeout(
        f"The provider of instance '{handler.name}' did not answer every part of the request in time.",
        hint="Send fewer texts at once.",
    )
