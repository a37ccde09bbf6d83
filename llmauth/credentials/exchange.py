"""A long-lived secret exchanged for a short-lived token: a strategy finds the one, a token service gives the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from llmauth.clock import Clock
from llmauth.credentials.base import CredentialStrategy
from llmauth.secrets import ApiKey, BearerToken, Loaded, Secret

# Less than after which a lease is renewed, jitter included, so that what it gets then is a new token.
_SHARE_OF_LIFE = 0.7


class TokenService(Protocol):
    """Where one kind of secret is exchanged."""

    @property
    def name(self) -> str:
        """How logs name it: `IBM IAM`."""
        ...

    def token(self, key: Secret) -> tuple[Secret, float]:
        """A token and its life in seconds; blocks. Raises StrategyFailed."""
        ...


class Exchanged:
    """A strategy whose API keys are exchanged. A token that it finds in their place is good as it is.

    Its source may be read again every few seconds, to notice a change; the service is asked when the key is another
    one, or when the token grows old.
    """

    def __init__(self, strategy: CredentialStrategy, service: TokenService, clock: Clock) -> None:
        self.label = strategy.label
        self._strategy = strategy
        self._service = service
        self._clock = clock
        self._held: _Held | None = None

    def load(self) -> Loaded:
        found = self._strategy.load()
        if not isinstance(found.credential, ApiKey):
            return found
        held = self._held
        if held is None or held.key != found.credential.value or held.is_old(self._clock):
            held = self._held = self._exchanged(found.credential.value)
        return Loaded(
            credential=held.token,
            source=f"{found.source}, exchanged by {self._service.name}",
            expires_at=held.ends,
            refresh_after=found.refresh_after,
        )

    def forget(self) -> None:
        """The provider refused the token: the next load asks for another."""
        self._held = None

    def _exchanged(self, key: Secret) -> _Held:
        wall, monotonic = self._clock.wall(), self._clock.monotonic()
        token, life = self._service.token(key)
        young = _SHARE_OF_LIFE * life
        return _Held(
            key=key,
            token=BearerToken(value=token),
            ends=wall + life,
            old_wall=wall + young,
            old_monotonic=monotonic + young,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """A token, the key that it was given for, and the moment after which another one is asked for."""

    key: Secret
    token: BearerToken
    ends: float
    old_wall: float
    old_monotonic: float

    def is_old(self, clock: Clock) -> bool:
        """By whichever clock comes first: a jump of the wall clock makes no token younger."""
        return clock.wall() >= self.old_wall or clock.monotonic() >= self.old_monotonic
