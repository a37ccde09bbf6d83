"""The database of keys in PostgreSQL: bounded in time, on the disk before it answers, its password never told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus
from sqlalchemy import URL, Connection, create_engine, text
from sqlalchemy.exc import DBAPIError

from llmauth.storage.engine import Database
from llmauth.storage.home import StateUnusable

OLDEST = 130_000
"""PostgreSQL 13, as the server itself counts."""
STATEMENT_SECONDS = 4
# A frozen server takes bytes and answers none, a lost network neither: then only the client can end the wait.
ANSWER_SECONDS = 5.0
POOL_SECONDS = 2.0
_CONNECTIONS = 5
_DEFAULTS: Mapping[str, Any] = {
    "connect_timeout": 2,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "application_name": "llmauth",
}
# Any number does, as long as all who make or change the tables wait for the same.
_LOCK = 7_237_018_551_219
# `off` would answer before the change is on the disk; stricter settings are the operator's choice, and stay.
_SETTINGS = f"""
    SELECT set_config('statement_timeout', '{STATEMENT_SECONDS}s', false),
           set_config('idle_in_transaction_session_timeout', '30s', false),
           set_config('synchronous_commit', CASE current_setting('synchronous_commit')
                      WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, false)
"""
_Given = TypeVar("_Given")


class PostgresDatabase(Database):
    """One database of a PostgreSQL server. Parameters of the URL (TLS, several hosts) go to the client library."""

    shared: ClassVar[bool] = True

    def __init__(self, url: URL) -> None:
        self._url = url.set(drivername="postgresql+psycopg")
        arguments = {**_DEFAULTS, **self._url.get_dialect()().create_connect_args(self._url)[1]}
        engine = create_engine(
            "postgresql+psycopg://",
            creator=lambda: self._connect(arguments),
            pool_size=_CONNECTIONS,
            max_overflow=_CONNECTIONS,
            pool_timeout=POOL_SECONDS,
            pool_pre_ping=True,
            hide_parameters=True,
            use_native_hstore=False,
        )
        super().__init__(
            engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True),
            # Whoever waited for a row sees what its last holder wrote, where a stricter level would be refused.
            engine.execution_options(isolation_level="READ COMMITTED"),
        )
        try:
            self._prepare_tables()
        except BaseException:
            self.close()
            raise

    @property
    def place(self) -> str:
        """Without parameters, which may hold a password as well."""
        return f"The key database {self._url.set(drivername='postgresql', query={}).render_as_string()}"

    def _connect(self, arguments: Mapping[str, Any]) -> psycopg.Connection[Any]:
        # Nothing is prepared: behind a pooler of transactions the next one may be at another server process.
        connection = _Connection.connect(**arguments, autocommit=True, prepare_threshold=None)
        try:
            if connection.info.server_version < OLDEST:
                raise StateUnusable(
                    f"{self.place} is PostgreSQL {connection.info.server_version // 10_000}, and this llmauth needs "
                    f"{OLDEST // 10_000} or later."
                )
            connection.execute(_SETTINGS.encode("ascii"))
            connection.autocommit = False
        except BaseException:
            connection.close()
            raise
        return connection

    def _alone(self, connection: Connection) -> None:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})

    def _sentence(self, error: DBAPIError) -> str:
        state = getattr(error.orig, "sqlstate", None) or _state_of(str(error.orig), error.orig)
        said = _SENTENCES.get(state, f"cannot be used (SQLSTATE {state}).")
        return f"{self.place} {said}"


class _Connection(psycopg.Connection[Any]):
    """A connection that waits for no answer longer than ANSWER_SECONDS, and is of no use afterwards."""

    def wait(self, gen: PQGen[_Given], interval: float = 0.1, timeout: float | None = None) -> _Given:
        try:
            return super().wait(gen, interval, ANSWER_SECONDS if timeout is None else timeout)
        except psycopg.OperationalError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.pgconn.finish()
            raise


def _state_of(message: str, error: object) -> str:
    """What kept us from being connected: the client library tells it in words alone. `gone` where none are known."""
    for words, state in _WORDS.items():
        if words in message:
            return state
    return "parameter" if isinstance(error, psycopg.ProgrammingError) else "gone"


_WORDS: Mapping[str, str] = {
    "password authentication failed": "28P01",
    "no password supplied": "28P01",
    "no pg_hba.conf entry": "28000",
    'role "': "28P01",
    "certificate file": "tls",
    "permission denied for database": "42501",
    "does not exist": "3D000",
    "too many clients": "53300",
    "too many connections": "53300",
    "remaining connection slots": "53300",
    "starting up": "57P03",
    "shutting down": "57P03",
    "read-only": "25006",
    "connection is bad": "parameter",
    "SSL": "tls",
    "certificate": "tls",
}
_REFUSED = "refuses this user or its password. Look at both in the storage URL; `%40` stands for an @ in a password."
_DENIED = "denies this user what it needs: CONNECT on the database, and USAGE and CREATE on its schema."
_READ_ONLY = (
    "is read-only (a standby?), so nothing can be changed there. Lead the storage URL to the primary; with several "
    "hosts add `target_session_attrs=read-write`."
)
_FULL = "has no connection left for us. Raise its max_connections, or run fewer processes."
_STARTING = "is starting or shutting down. Try again."
_GONE = "cannot be reached, or does not answer. Look at host, port and network; `pg_isready` asks it too."
_SENTENCES: Mapping[str, str] = {
    "28P01": _REFUSED,
    "28000": f"{_REFUSED} Its pg_hba.conf must let this user in from this machine, with TLS or without.",
    "3D000": "does not exist. Make it: CREATE DATABASE name OWNER user.",
    "42501": _DENIED,
    "3F000": _DENIED,
    "25006": _READ_ONLY,
    "0A000": _READ_ONLY,  # a transaction that writes cannot even begin there
    "53300": _FULL,
    "53100": "has no room left on its disk.",
    "57P01": _STARTING,
    "57P02": _STARTING,
    "57P03": _STARTING,
    "57014": f"took longer than {STATEMENT_SECONDS} s to answer. Try again.",
    "tls": "cannot be reached by TLS as the storage URL asks for it: look at sslmode, sslrootcert and its certificate.",
    "parameter": "is asked for by a storage URL with a parameter that PostgreSQL's client library does not take.",
    "gone": _GONE,
}
