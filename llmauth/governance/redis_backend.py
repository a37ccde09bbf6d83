"""Counting in Redis, for all processes and replicas that share one."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError, RedisError, ResponseError, TimeoutError

from llmauth.governance.backends import LEASE_SECONDS, PATIENCE_SECONDS, Answer, BackendFailed
from llmauth.governance.demands import Demand, Reading, Scope, Settlement
from llmauth.governance.redis_scripts import ENTER, SERVER_TIME, admit_script, settle_script
from llmauth.secrets import Secret
from llmauth.storage.redis_errors import word_of

# The braces put all keys into one slot of a cluster, where alone a script can reach them.
_BEGINNING = "{llmauth-limits}:"
_HOLDER = f"{_BEGINNING}holder:"
_CONNECTIONS = 16

_Value = TypeVar("_Value")


class RedisBackend:
    """One connection pool. `time` is the Lua that reads the clock; only tests have another than the server's."""

    width = _CONNECTIONS - 2  # what ended and the lease have theirs

    def __init__(self, url: Secret, place: str, *, lease: float = LEASE_SECONDS, time: str = SERVER_TIME) -> None:
        self.place = place
        self.lease = lease
        self._lease = int(lease * 1000)
        pool = BlockingConnectionPool.from_url(
            url.reveal(),
            max_connections=_CONNECTIONS,
            timeout=PATIENCE_SECONDS,
            socket_timeout=PATIENCE_SECONDS,
            socket_connect_timeout=PATIENCE_SECONDS,
            # A question that was sent twice would be counted twice.
            retry=Retry(NoBackoff(), 0),
            client_name="llmauth",
            decode_responses=False,
        )
        self._client: Redis = Redis(connection_pool=pool)
        self._admit = self._client.register_script(admit_script(time))
        self._settle = self._client.register_script(settle_script(time))
        self._enter = self._client.register_script(ENTER)

    async def enter(self, holder: str, former: str | None, running: Mapping[str, int]) -> None:
        """Begin a lease, with so many running requests of each scope; what the former holder held is free."""
        keys = [_HOLDER + holder, _HOLDER + (former or ""), *(_held(key) for key in running)]
        await _told(self._enter(keys=keys, args=[holder, self._lease, *running.values()]))

    async def beat(self, holder: str) -> bool:
        """Renew the lease; False where it has ended."""
        return bool(await _told(self._client.pexpire(_HOLDER + holder, self._lease)))

    async def admit(self, holder: str, demand: Demand) -> Answer:
        """Take all of it or nothing, in one script."""
        numbers = [number for scope in demand.scopes for number in _numbers(scope)]
        answer = await _told(
            self._admit(
                keys=[_HOLDER + holder, *_keys(demand.scopes)],
                args=[holder, _HOLDER, demand.reserved, demand.nanos, *numbers],
            )
        )
        return _answer(answer, len(demand.scopes))

    async def settle(self, holder: str, settlement: Settlement, *, ends: bool) -> None:
        """Add what a request used beyond its reserve; `ends` where this holder counted it as running."""
        pairs = zip(settlement.began, settlement.scopes, strict=True)
        numbers = [number for began, scope in pairs for number in (began, *_numbers(scope))]
        arguments = [holder, settlement.tokens, settlement.nanos, int(ends), *numbers]
        await _told(self._settle(keys=_keys(settlement.scopes), args=arguments))

    async def leave(self, holder: str) -> None:
        """End the lease."""
        await _told(self._client.delete(_HOLDER + holder))

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose(close_connection_pool=True)


def _keys(scopes: Sequence[Scope]) -> list[str]:
    return [key for scope in scopes for key in (f"{_BEGINNING}scope:{scope.key}", _held(scope.key))]


def _held(key: str) -> str:
    return f"{_BEGINNING}held:{key}"


def _numbers(scope: Scope) -> list[str | int]:
    limits = (scope.rpm, scope.tpm, scope.concurrent, scope.budget)
    return [*("" if limit is None else limit for limit in limits), scope.per]


def _answer(told: Any, scopes: int) -> Answer:
    try:
        fits, now = int(told[0]), int(told[1]) / 1000
        if fits == -1:
            return Answer(admitted=False, wall=now, known=False)
        readings = [_reading(told[at : at + 5]) for at in range(2, len(told), 5)]
    except (TypeError, ValueError, IndexError, KeyError):
        raise BackendFailed("answered something that cannot be read") from None
    if len(readings) != scopes:
        raise BackendFailed("answered something that cannot be read")
    return Answer(admitted=fits == 1, readings=tuple(readings), wall=now)


def _reading(told: Sequence[bytes]) -> Reading:
    requests, tokens, running, spent, began = told
    return Reading(
        requests=int(requests) if requests else None,
        tokens=int(tokens) if tokens else None,
        running=int(running),
        spent=int(spent),
        began=int(began),
    )


async def _told(asked: Awaitable[_Value]) -> _Value:
    try:
        return await asked
    except (RedisError, OSError) as error:
        raise BackendFailed(_why(error)) from None


def _why(error: Exception) -> str:
    word = word_of(error, _WHY)
    if word is not None:
        return _WHY[word]
    if isinstance(error, TimeoutError | ConnectionError | OSError):
        return "cannot be reached, or does not answer"
    return "refused a command" if isinstance(error, ResponseError) else "answered something that cannot be read"


_WHY = {
    "NOAUTH": "wants a password, and storage.limits_url has none",
    "WRONGPASS": "refuses the user or password of storage.limits_url",
    "NOPERM": "denies our user a command that limits need",
    "READONLY": "is a replica, which cannot count",
    "OOM": "has no memory left",
    "LOADING": "is starting",
    "MISCONF": "cannot write to its disk, and takes no changes",
}
