"""What the log says of a chain: attempts, refusals, switches and renewals, in the words that operators look for."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import Any

from llmauth.clock import Clock
from llmauth.credentials.cache import Leased
from llmauth.credentials.candidate import Candidate
from llmauth.secrets import Loaded

logger = logging.getLogger(__name__)

_OF_THE_WORKLOAD = "workload_identity"


class Teller:
    """Writes the lines of one instance."""

    def __init__(self, instance: str, clock: Clock) -> None:
        self._log = _InstanceLog(instance)
        self._clock = clock

    def trying(self, candidate: Candidate, *, first_time: bool) -> None:
        """A source is asked."""
        level = logging.INFO if first_time else logging.DEBUG
        self._log.log(level, "Trying strategy: %s", candidate.label, extra={"strategy": candidate.label})

    def refused(self, candidate: Candidate, reason: str, *, failed: bool, new: bool) -> None:
        """It gave nothing. Said once for each reason: who stays away is asked for as long as the process lives."""
        fields = {"strategy": candidate.label}
        if failed:
            level = logging.ERROR if new else logging.DEBUG
            self._log.log(level, "❌ %s failed: %s", candidate.label, reason, extra=fields)
        else:
            self._log.log(logging.WARNING if new else logging.DEBUG, "⚠️  %s", reason, extra=fields)

    def activated(self, candidate: Candidate, loaded: Loaded, *, before: Candidate | None, held: Leased | None) -> None:
        """It gave a credential, in the place of the one that was held until now."""
        label, fields = candidate.label, {"strategy": candidate.label, "source": loaded.source}
        if before is not None and before is not candidate:
            why = before.reason or "it is available again"
            self._log.warning("Credentials now come from %s, not from %s: %s", label, before.label, why, extra=fields)
        if before is not candidate or held is None:
            self._log.info("✅ Successfully initialized with %s", kind_of(label), extra=fields)
            self._tell_life(candidate, loaded)
            return
        if candidate.reason is not None:
            self._log.info("%s answers again", label, extra=fields)
        if loaded.credential != held.credential:
            fields |= {} if loaded.expires_at is None else {"expires_at": str(round(loaded.expires_at))}
            self._log.info("Credentials renewed by %s", label, extra=fields)

    def _tell_life(self, candidate: Candidate, loaded: Loaded) -> None:
        if loaded.expires_at is None:
            return
        life = loaded.expires_at - self._clock.wall()
        fields = {"strategy": candidate.label, "expires_at": loaded.expires_at, "source": loaded.source}
        if candidate.label.startswith(_OF_THE_WORKLOAD):
            minutes = max(1, round(life / 60))
            self._log.info("Credentials will auto-rotate every %d minutes", minutes, extra=fields)
        else:
            self._log.info("Credentials TTL: %d seconds", round(life), extra=fields)


def kind_of(label: str) -> str:
    """A strategy's type without what stands in brackets: `vault` of `vault (hashicorp)`."""
    return label.partition(" (")[0]


class _InstanceLog(logging.LoggerAdapter[logging.Logger]):
    """Puts the instance in front of every line, and among its fields."""

    def __init__(self, instance: str) -> None:
        super().__init__(logger, {"instance": instance})
        self._instance = instance

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        # The sentence says it all to people; the fields are for who reads JSON.
        kwargs["extra"] = {"in_words": True, "instance": self._instance, **kwargs.get("extra", {})}
        return f"[{self._instance}] {msg}", kwargs
