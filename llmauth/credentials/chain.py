"""The strategies of one instance: asked in their order, left only for a better one or at an end, and told about."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from llmauth.clock import Clock
from llmauth.credentials.base import Remembering, StrategyFailed, StrategyUnavailable
from llmauth.credentials.cache import Found, Freshness, Lease, NothingFound, Source
from llmauth.credentials.candidate import FAILED, LONGEST_WITHOUT, UNAVAILABLE, BackOff, Candidate, Jitter
from llmauth.errors import NoCredential
from llmauth.secrets import Loaded

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceStatus:
    """Whether an instance has a credential now, and by which strategy. `expires_at` is Unix time."""

    state: Literal["ready", "pending", "failed"]
    strategy: str | None = None
    expires_at: float | None = None


class Chain:
    """The strategies of one instance, the one that is active, and the lease that they fill."""

    def __init__(self, instance: str, sources: Sequence[Source], clock: Clock, jitter: Jitter) -> None:
        self._instance = instance
        self._log = _InstanceLog(instance)
        self._candidates = [Candidate(source) for source in sources]
        self._active: Candidate | None = None
        self._clock = clock
        self._jitter = jitter
        self.lease = Lease(self._fetch, clock, jitter)

    def status(self) -> InstanceStatus:
        """How it stands, without asking any source."""
        current = self.lease.usable()
        if current is not None:
            return InstanceStatus(state="ready", strategy=current.strategy, expires_at=current.expires_at)
        failed = all(candidate.reason is not None for candidate in self._candidates)
        return InstanceStatus(state="failed" if failed else "pending")

    def refusal(self) -> NoCredential:
        """The error for a client, with the labels alone; what each strategy said is for the log."""
        labels = ", ".join(candidate.label for candidate in self._candidates)
        said = [f"{candidate.label}: {candidate.reason or 'no answer yet'}" for candidate in self._candidates]
        return no_credential(self._instance, f" (tried {labels})" if labels else "", "; ".join(said))

    def discard(self, generation: int) -> None:
        """Forget the credential of this generation, because the provider refused it; at most one in ten seconds."""
        if self.lease.discard(generation):
            for candidate in self._candidates:
                if isinstance(candidate.source.strategy, Remembering):
                    candidate.source.strategy.forget()

    # ---- finding a credential --------------------------------------------------------------------------------------

    async def _fetch(self) -> Found:
        usable = self._usable()
        considered = self._considered(usable)
        for candidate in considered:
            if candidate.wait(self._clock.monotonic(), usable=usable) > 0:
                continue
            loaded = await self._ask(candidate, usable)
            if loaded is not None:
                self._activate(candidate, loaded, usable)
                return Found(loaded=loaded, strategy=candidate.label)
        now = self._clock.monotonic()
        waits = [candidate.wait(now, usable=usable) for candidate in considered]
        raise NothingFound(min(waits, default=LONGEST_WITHOUT), usable=usable)

    def _usable(self) -> bool:
        return self.lease.freshness() is not Freshness.INVALID

    def _considered(self, usable: bool) -> Sequence[Candidate]:
        """All of them; while a credential is usable only the active one and those before it.

        So a better strategy is returned to at a renewal, and one failed renewal is no reason to go to a worse one.
        """
        if not usable or self._active is None:
            return self._candidates
        return self._candidates[: self._candidates.index(self._active) + 1]

    async def _ask(self, candidate: Candidate, usable: bool) -> Loaded | None:
        first_time = candidate.reason is None and not usable
        level = logging.INFO if first_time else logging.DEBUG
        self._log.log(level, "Trying strategy: %s", candidate.label, extra={"strategy": candidate.label})
        try:
            return self._unexpired(await candidate.source.load())
        except StrategyUnavailable as refusal:
            self._refused(candidate, refusal.reason, UNAVAILABLE)
        except StrategyFailed as refusal:
            self._refused(candidate, refusal.reason, FAILED)
        except Exception as error:
            # The class alone: libraries put URLs, headers and answers into their texts.
            self._refused(candidate, f"unexpected {type(error).__name__}", FAILED)
        return None

    def _unexpired(self, loaded: Loaded) -> Loaded:
        if loaded.expires_at is not None and loaded.expires_at <= self._clock.wall():
            raise StrategyFailed("what it gave has already ended; is the clock of this machine right?")
        return loaded

    # ---- telling about it ------------------------------------------------------------------------------------------

    def _refused(self, candidate: Candidate, reason: str, back_off: BackOff) -> None:
        new = candidate.refused(reason, back_off, self._clock.monotonic(), self._jitter())
        fields = {"strategy": candidate.label}
        # Said once for each reason: a source that stays away is asked for as long as the process lives.
        if back_off is UNAVAILABLE:
            self._log.log(logging.WARNING if new else logging.DEBUG, "⚠️  %s", reason, extra=fields)
        else:
            level = logging.ERROR if new else logging.DEBUG
            self._log.log(level, "❌ %s failed: %s", candidate.label, reason, extra=fields)

    def _activate(self, candidate: Candidate, loaded: Loaded, usable: bool) -> None:
        before, self._active = self._active, candidate
        label, fields = candidate.label, {"strategy": candidate.label}
        if before is not None and before is not candidate:
            why = before.reason or "it is available again"
            self._log.warning("Credentials now come from %s, not from %s: %s", label, before.label, why, extra=fields)
        if before is not candidate or not usable:
            self._log.info("✅ Successfully initialized with %s", label, extra=fields)
            self._tell_life(candidate, loaded)
        elif candidate.reason is not None:
            self._log.info("%s answers again", label, extra=fields)
        candidate.answered()

    def _tell_life(self, candidate: Candidate, loaded: Loaded) -> None:
        if loaded.expires_at is None:
            return
        life = loaded.expires_at - self._clock.wall()
        fields = {"strategy": candidate.label, "expires_at": loaded.expires_at, "source": loaded.source}
        if candidate.label.startswith("workload_identity"):
            minutes = max(1, round(life / 60))
            self._log.info("Credentials will auto-rotate every %d minutes", minutes, extra=fields)
        else:
            self._log.info("Credentials TTL: %d seconds", round(life), extra=fields)


class _InstanceLog(logging.LoggerAdapter[logging.Logger]):
    """Puts the instance in front of every line, and among its fields."""

    def __init__(self, instance: str) -> None:
        super().__init__(logger, {"instance": instance})
        self._instance = instance

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        kwargs["extra"] = {"instance": self._instance, **kwargs.get("extra", {})}
        return f"[{self._instance}] {msg}", kwargs


def no_credential(instance: str, tried: str, detail: str) -> NoCredential:
    """The refusal of a request to an instance that has no credential; `detail` is for the log alone."""
    return NoCredential(
        f"Cannot authenticate to provider {instance}{tried}.",
        hint="It is not your key: tell whoever runs this gateway.",
        detail=detail,
    )
