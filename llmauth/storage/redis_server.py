"""A Redis that may be trusted with keys: bounded in time, on its disk before it answers, its password never told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from redis import BlockingConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.commands.core import Script
from redis.exceptions import ConnectionError, ReadOnlyError, RedisError, ResponseError, TimeoutError
from redis.retry import Retry

from llmauth.storage.home import StateUnusable
from llmauth.storage.redis_errors import word_of
from llmauth.storage.redis_urls import where

OLDEST = 7
"""Before, a script could not say that a replica must not run it."""
CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 5.0
POOL_SECONDS = 2.0
_CONNECTIONS = 10
# What each must be for a change to be on the disk when it is answered, and to stay.
_WANTED: Mapping[str, str] = {
    "appendonly": "yes",
    "appendfsync": "always",
    # While a child rewrites the file, `yes` leaves out the fsync, also the one of `always`.
    "no-appendfsync-on-rewrite": "no",
    "maxmemory-policy": "noeviction",
}


class RedisServer:
    """One database of a Redis. Each new connection is asked again whether it may be trusted: after a failover it leads
    to another server. What goes wrong is raised as StateUnusable, with a sentence."""

    def __init__(self, url: str) -> None:
        self.place = _place(url)
        self._pool = BlockingConnectionPool.from_url(
            url,
            max_connections=_CONNECTIONS,
            timeout=POOL_SECONDS,
            socket_timeout=ANSWER_SECONDS,
            socket_connect_timeout=CONNECT_SECONDS,
            # Whether a change was made that nobody answered, nobody knows: it is not made a second time.
            retry=Retry(NoBackoff(), 0),
            client_name="llmauth",
            protocol=2,
            decode_responses=True,
            encoding_errors="surrogateescape",
            redis_connect_func=self._greet,
        )
        self._client = Redis(connection_pool=self._pool)

    def script(self, text: str) -> Script:
        """Nothing is sent yet."""
        return self._client.register_script(text)

    def run(self, script: Script, keys: Sequence[str], arguments: Sequence[str]) -> Any:
        """What it returns; it ran once and whole, or not at all, or nobody knows (StateUnusable)."""
        with self._explained():
            return script(keys=keys, args=arguments)

    def close(self) -> None:
        """Close every connection."""
        self._pool.disconnect()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        # Never `from` the error: what drivers say may quote what was sent.
        try:
            yield
        except (RedisError, OSError, UnicodeError) as error:
            if isinstance(error, ReadOnlyError):
                self._pool.disconnect(inuse_connections=False)  # the next may lead to the primary
            raise StateUnusable(f"{self.place} {_said_of(error)}") from None

    # The library's connections have no types.
    def _greet(self, connection: Any) -> None:
        connection.on_connect()
        try:
            self._require_trustworthy(connection)
        except BaseException:
            connection.disconnect()
            raise

    def _require_trustworthy(self, connection: Any) -> None:
        found = _facts(_asked(connection, "INFO"))
        version = found.get("redis_version", "0").partition(".")[0]
        if not version.isdigit() or int(version) < OLDEST:
            raise StateUnusable(f"{self.place} is version {version}, and this llmauth needs {OLDEST} or later.")
        if found.get("role") != "master":
            raise StateUnusable(f"{self.place} {_REPLICA}")
        if found.get("loading") == "1":
            raise StateUnusable(f"{self.place} {_SENTENCES['LOADING']}")
        try:
            told = _asked(connection, "CONFIG", "GET", *_WANTED)
        except ResponseError:  # NoPermissionError among them
            raise StateUnusable(
                f"{self.place} does not tell whether its changes are on its disk before it answers. Let our user ask: "
                "ACL SETUSER name +config|get. A service that gives nobody this command cannot keep keys."
            ) from None
        set_to = dict(zip(told[::2], told[1::2], strict=False))
        wrong = [f"{name} {wanted}" for name, wanted in _WANTED.items() if set_to.get(name) != wanted]
        if wrong:
            raise StateUnusable(
                f"{self.place} would lose keys or revocations that somebody was told of. Set in its configuration: "
                f"{', '.join(wrong)}."
            )


def _place(url: str) -> str:
    try:
        return f"The Redis {where(url)} of keys"
    except ValueError as error:
        raise StateUnusable(f"The storage URL cannot be used: {error}.") from None


def _asked(connection: Any, *words: str) -> Any:
    connection.send_command(*words)
    return connection.read_response()


def _facts(told: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in told.splitlines() if ":" in line)
    return {name: value.strip() for name, _, value in pairs}


def _said_of(error: Exception) -> str:
    word = word_of(error, _SENTENCES)
    if word is not None:
        return _SENTENCES[word]
    return _GONE if isinstance(error, TimeoutError | ConnectionError | OSError) else _GARBAGE


_REPLICA = "is a replica, where nothing can be changed. Lead the storage URL to the primary."
_CLUSTER = (
    "is a node of a cluster that does not hold the keys. Lead the storage URL to the primary of the slot of {llmauth}."
)
_GONE = "cannot be reached, or does not answer. Look at host, port and network; `redis-cli ping` asks it too."
_GARBAGE = "answered something that cannot be read."
# By the word with which it begins what it says, or the library.
_SENTENCES: Mapping[str, str] = {
    "NOAUTH": "wants a password, and the storage URL has none.",
    "WRONGPASS": "refuses this user or its password. Look at both in the storage URL; `%40` stands for an @.",
    "NOPERM": "denies our user a command or a key that it needs. docs/STORAGE.md has its rights.",
    "READONLY": _REPLICA,
    "MOVED": _CLUSTER,
    "CROSSSLOT": _CLUSTER,
    "CLUSTERDOWN": "is a node of a cluster that is down. Try again.",
    "OOM": "has no memory left. Raise its maxmemory.",
    "LOADING": "is starting. Try again.",
    "BUSY": "is kept busy by somebody's script. Try again.",
    "MISCONF": "cannot write to its disk, and takes no changes.",
    "NOREPLICAS": "has lost the replicas that it must not be without, and takes no changes.",
    "MASTERDOWN": _REPLICA,
    "WRONGTYPE": "holds something of another program under {llmauth}. Use another database.",
    "DB INDEX": "has no database of this number. Look at the path of the storage URL.",
    "INVALID DATABASE": "has no database of this number. Look at the path of the storage URL.",
    "MAX NUMBER OF CLIENTS": "has no connection left for us. Raise its maxclients, or run fewer processes.",
    "NO CONNECTION AVAILABLE": "is asked by too many at once. Try again.",
}
