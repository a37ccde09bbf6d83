"""Where limits are counted, by the URL of the configuration: the engine behind it, and a sentence for the log."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

from llmauth.addresses import is_loopback
from llmauth.clock import Clock
from llmauth.governance.limits import Limiter
from llmauth.governance.memory import MemoryLimiter
from llmauth.governance.shared import OUTAGE_SECONDS, SharedLimiter
from llmauth.secrets import Secret
from llmauth.storage import redis_urls

_POSTGRES = ("postgresql", "postgres")
_PORT = 5432
# What else the client library takes would turn off the verification of TLS, or the bounds of time.
_PARAMETERS = {"sslmode", "sslrootcert", "sslcert", "sslkey", "target_session_attrs", "application_name"}
_WANTED = "write memory, redis://:password@host:6379/0 or postgresql://user:password@host/database"


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsPlace:
    """Where limits are counted; `where` is host, port and database, without credentials."""

    kind: Literal["memory", "redis", "postgresql"]
    url: Secret
    where: str = ""

    def may_be_read_on_the_way(self) -> bool:
        """Whether it is on another machine, and may be spoken to without TLS or without knowing whom."""
        url = urlsplit(self.url.reveal())
        if self.kind == "memory" or is_loopback(url.hostname or ""):
            return False
        return url.scheme != "rediss" and dict(parse_qsl(url.query)).get("sslmode") != "verify-full"


MEMORY = LimitsPlace(kind="memory", url=Secret(""))


def parse_place(text: str) -> LimitsPlace:
    """`memory`, or the URL of a Redis or PostgreSQL server; ValueError, which repeats nothing of it, for all else."""
    if text == "memory":
        return MEMORY
    if redis_urls.is_redis(text):
        return LimitsPlace(kind="redis", url=Secret(text), where=redis_urls.where(text))
    return LimitsPlace(kind="postgresql", url=Secret(text), where=_database(text))


def _database(text: str) -> str:
    """Host, port and database of a PostgreSQL server."""
    try:
        url = urlsplit(text)
        port, host = url.port or _PORT, url.hostname
    except ValueError:
        raise ValueError(f"not a place where limits are counted; {_WANTED}") from None
    if url.scheme not in _POSTGRES or not host or url.fragment:
        raise ValueError(f"not a place where limits are counted; {_WANTED}")
    database = url.path.strip("/")
    if not database:
        raise ValueError("the URL names no database; write postgresql://user:password@host/database")
    if any(name not in _PARAMETERS for name, _ in parse_qsl(url.query, keep_blank_values=True)):
        raise ValueError(f"the URL has a parameter that is not taken here; known are {', '.join(sorted(_PARAMETERS))}")
    shown = f"[{host}]" if ":" in host else host
    return f"{shown}:{port}/{database}"


def open_limiter(
    place: LimitsPlace, *, broker: Path | None = None, clock: Clock | None = None, outage: float = OUTAGE_SECONDS
) -> Limiter:
    """The engine of a place, for one process; `broker` is the socket of a parent that counts for several workers."""
    if place.kind == "redis":
        # The drivers take their time to load, and most run without one.
        from llmauth.governance.redis_backend import RedisBackend

        return SharedLimiter(RedisBackend(place.url, f"Redis at {place.where}"), clock, outage=outage)
    if place.kind == "postgresql":
        from llmauth.governance.postgres_backend import PostgresBackend

        return SharedLimiter(PostgresBackend(place.url, f"PostgreSQL at {place.where}"), clock, outage=outage)
    if broker is not None:
        from llmauth.governance.broker_backend import BrokerBackend

        return SharedLimiter(BrokerBackend(broker), clock, outage=outage)
    return MemoryLimiter(clock)


def describe(place: LimitsPlace, workers: int = 1) -> str:
    """The sentence for the log at the start: who shares the limits."""
    if place.kind == "redis":
        return f"Limits are shared through Redis at {place.where}, by all processes and replicas that use it."
    if place.kind == "postgresql":
        return f"Limits are shared through PostgreSQL at {place.where}, by all processes and replicas that use it."
    if workers > 1:
        return (
            f"Limits are shared by this machine's {workers} workers; another replica has limits of its own, and all "
            "begin anew at a restart."
        )
    return "Limits are per process: another replica has limits of its own, and all begin anew at a restart."
