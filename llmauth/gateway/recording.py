"""The audit record as the rest of the gateway sees it: there, or switched off."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from llmauth.audit.records import Administered, CredentialFetched
from llmauth.audit.writer import AuditLog
from llmauth.context import Identity
from llmauth.credentials.chain import Asked
from llmauth.errors import Unavailable

_WORTH_TELLING = {"success": "fetched", "error": "failed"}


class Recording:
    """`log` is the record, `None` where the configuration switches it off."""

    def __init__(self, log: AuditLog | None) -> None:
        self.log = log

    def start(self) -> None:
        """Begin to write; StateError when that cannot be done: then nothing starts. Blocking."""
        if self.log is not None:
            self.log.start()

    def stop(self) -> None:
        """Write what waits. Blocking."""
        if self.log is not None:
            self.log.stop()

    def usable(self) -> bool:
        """Whether what is decided can be recorded, or need not be."""
        return self.log is None or self.log.usable()

    def state(self) -> str:
        """The same in a word: `ok`, `off` or `unwritable`."""
        return "off" if self.log is None else "ok" if self.log.usable() else "unwritable"

    def waiting(self) -> int:
        """How many records are noted and not yet written."""
        return 0 if self.log is None else self.log.waiting

    def credential(self, instance: str, asked: Asked) -> None:
        """A source of credentials was asked. One that is not there on this machine is not asked for anything."""
        result: Any = _WORTH_TELLING.get(asked.result)
        if self.log is None or result is None:
            return
        record = CredentialFetched(
            instance=instance,
            strategy=asked.strategy,
            result=result,
            source=asked.source,
            reason=asked.reason,
            expires_at=asked.expires_at,
        )
        with suppress(Unavailable):  # then no request is let through that could use it
            self.log.note(record)

    async def administered(self, action: str, identity: Identity, request_id: str, subject: str | None = None) -> None:
        """Somebody changed what is kept of it; on the disk when this returns. Unavailable when it cannot be."""
        if self.log is None:
            return
        record = Administered(
            action=action,
            by=identity.user,
            subject=subject or identity.session_id or identity.key_id,
            user=identity.user,
            name=identity.key_name,
            request_id=request_id,
        )
        await self.log.note(record, durable=True).wait()

    def require_usable(self) -> None:
        """Unavailable where nothing could be recorded: asked before something is changed that is to be told."""
        if self.log is not None:
            self.log.require_usable()
