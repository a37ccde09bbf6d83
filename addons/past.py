"""What became of a caller's own requests, for that caller: GET /auth/requests, and /auth/requests/{id}."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote

from mitmproxy import http

from addons import convert
from addons.exchange import Exchange, Exchanges
from addons.login import at_gateway
from addons.stage import stage
from llmauth.context import Authenticated
from llmauth.errors import BadRequest, MethodNotAllowed, RateLimited, Unavailable, UnknownRequest
from llmauth.gateway import Gateway
from llmauth.hindsight.ids import newest_last
from llmauth.hindsight.memory import MOST
from llmauth.http import Headers, Response

PATH = "/auth/requests"
_READS = ("GET", "HEAD")
_USUAL = 20
# One part for each process: the name of its run, and the number of the last request that was told of.
_CURSOR = re.compile(r"[0-9a-f]{8}:\d{1,18}(?:,[0-9a-f]{8}:\d{1,18}){0,63}")
_LONGEST_ID = 128
_MOST = 100
# What is told is made in threads: at the event loop everybody waits. Callers hold no more of them than these.
_THREADS = 4

Question = Mapping[str, Any]
Answers = list[dict[str, Any]]
Made = TypeVar("Made")


class Past:
    """Whoever is known may ask, and hears of no other's requests: those are as unknown as any that never were.

    Among several workers all are asked.
    """

    name = "past"

    def __init__(self, gateway: Gateway, exchanges: Exchanges) -> None:
        self.gateway = gateway
        self.exchanges = exchanges
        # One question each, until its thread is free again: whoever leaves before has it still.
        self._asking: set[str] = set()
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="past")

    def done(self) -> None:
        self._pool.shutdown(wait=False)

    @stage(Authenticated, only=at_gateway)
    def requestheaders(self, flow: http.HTTPFlow, exchange: Exchange) -> Awaitable[None] | None:
        path = exchange.request.url.route_path
        if not (path == PATH or path.startswith(f"{PATH}/")) or exchange.promise is not None:
            return None
        if exchange.request.method not in _READS:
            raise MethodNotAllowed(f"{exchange.request.method} is not what {PATH} is asked by.", allow=_READS)
        assert isinstance(exchange.context, Authenticated)
        user = exchange.context.identity.user
        if path == PATH:
            return self._list(flow, user, exchange.request.url.query)
        return self._explain(flow, user, unquote(path.removeprefix(f"{PATH}/")))

    async def _list(self, flow: http.HTTPFlow, user: str, query: str) -> None:
        self._admit(user)
        limit, cursor = _asked(query)
        asked = self._ask("recent", {"user": user, "limit": limit, "cursor": cursor})

        def listed() -> Response:
            answers = asked()
            said = ",".join(f"{answer['run']}:{answer['last']}" for answer in answers)
            requests = newest_last(answers)
            # What a cursor has passed by is told; each process keeps to the limit of its own.
            return _answer({"requests": requests[-limit:] if cursor is None else requests, "cursor": said})

        convert.answer(flow, await self._apart(user, listed))

    async def _explain(self, flow: http.HTTPFlow, user: str, name: str) -> None:
        if not 0 < len(name) <= _LONGEST_ID:
            raise _unknown()
        self._admit(user)
        asked = self._ask("explain", {"user": user, "id": name})

        def explained() -> Response:
            answers = asked()
            found = sum(answer["found"] for answer in answers)
            if not found:
                raise _unknown()
            return _answer({"requests": newest_last(answers), "found": found})

        convert.answer(flow, await self._apart(user, explained))

    def _ask(self, what: str, question: Question) -> Callable[[], Answers]:
        """What is to be done in a thread; the memory of this process is the event loop's and read at once."""
        hindsight, ask_all = self.gateway.hindsight, self.gateway.ask_all
        if ask_all is not None:
            return partial(ask_all, {"ask": what, **question})
        told = hindsight.recently(question) if what == "recent" else hindsight.explained(question)
        return lambda: [told()]

    async def _apart(self, user: str, make: Callable[[], Made]) -> Made:
        future = asyncio.get_running_loop().run_in_executor(self._pool, make)
        self._asking.add(user)

        def free(done: asyncio.Future[Made]) -> None:
            self._asking.discard(user)
            done.exception()  # heard of, where nobody waits any more

        future.add_done_callback(free)
        return await asyncio.shield(future)

    def _admit(self, user: str) -> None:
        """RateLimited or Unavailable where this one has to wait."""
        if user in self._asking:
            raise RateLimited("Another question for your requests is not answered yet.", retry_after=1)
        if len(self._asking) >= _THREADS:
            raise Unavailable("Many ask for their requests at the moment.", retry_after=1)


def _unknown() -> UnknownRequest:
    return UnknownRequest(
        "No request of yours that is remembered has this id.",
        hint=f"The last {MOST} of each process are; the operator's audit record goes back further.",
    )


def _asked(query: str) -> tuple[int, dict[str, int] | None]:
    """How many requests, and how far each process has told already. BadRequest for what is neither."""
    given = dict(parse_qsl(query, keep_blank_values=True, max_num_fields=20))
    limit, after = given.get("limit", str(_USUAL)), given.get("after")
    if not (limit.isascii() and limit.isdigit() and 0 < int(limit[:9]) <= _MOST):
        raise BadRequest(f"'limit' is a number from 1 to {_MOST}.", param="limit")
    if after is None:
        return int(limit), None
    if after == "":  # nothing had been told by anybody
        return int(limit), {}
    if not _CURSOR.fullmatch(after):
        raise BadRequest("'after' is the 'cursor' of an earlier answer.", param="after")
    parts = (part.partition(":") for part in after.split(","))
    return int(limit), {run: int(number) for run, _, number in parts}


def _answer(facts: Mapping[str, Any]) -> Response:
    headers = Headers([(b"content-type", b"application/json"), (b"cache-control", b"no-store")])
    return Response(status=200, headers=headers, body=json.dumps(facts).encode())
