"""Our data in a Redis: made where there are none, told from those of another version, and reached by scripts alone."""

from __future__ import annotations

import secrets
from typing import Any

from redis.commands.core import Script

from llmauth.storage.home import StateUnusable
from llmauth.storage.redis_scripts import MAKE, REVISION, SCHEMA
from llmauth.storage.redis_server import RedisServer


class RedisDatabase:
    """What lies in one database of a Redis. StateUnusable, with a sentence, for what cannot be used."""

    def __init__(self, url: str) -> None:
        self._server = RedisServer(url)
        self._scripts: dict[str, Script] = {}
        try:
            self._require_schema(self._server.run(self.script(MAKE), [REVISION], [secrets.token_hex(8)]))
        except BaseException:
            self.close()
            raise

    @property
    def place(self) -> str:
        """Where it is, as a sentence may say it."""
        return self._server.place

    def script(self, text: str) -> Script:
        """One of our scripts; nothing is sent yet."""
        if text not in self._scripts:
            self._scripts[text] = self._server.script(text)
        return self._scripts[text]

    def run(self, text: str, *arguments: str) -> Any:
        """What a script answers: a word for what became of it, and more."""
        told = self._server.run(self.script(text), [REVISION], arguments)
        if told[0] == "schema":
            self._require_schema(told[1])
        return told

    def close(self) -> None:
        """Close every connection."""
        self._server.close()

    def _require_schema(self, found: str) -> None:
        if found == SCHEMA:
            return
        if found == "":
            raise StateUnusable(
                f"{self.place} was emptied, or lost its data. Restore them, or start every llmauth anew to begin "
                "without keys."
            )
        raise StateUnusable(
            f"{self.place} holds version {found[:20]!r} of our data, and this llmauth reads version {SCHEMA}. Use the "
            "llmauth that wrote it, or another database."
        )
