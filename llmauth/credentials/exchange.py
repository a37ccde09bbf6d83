"""A long-lived secret exchanged for a short-lived token: a strategy finds the one, a token service gives the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from llmauth.clock import Clock
from llmauth.credentials.base import CredentialStrategy, Remembering
from llmauth.credentials.kept import Youth
from llmauth.secrets import BearerToken, Credential, Loaded, Secret


class TokenService(Protocol):
    """Where one kind of secret is exchanged."""

    @property
    def name(self) -> str:
        """How logs name it: `IBM IAM`."""
        ...

    def takes(self, credential: Credential) -> bool:
        """Whether this is a secret that it exchanges; any other is used as it is."""
        ...

    def token(self, credential: Credential) -> tuple[Secret, float]:
        """A token and its life in seconds; blocks. Raises SourceFailed."""
        ...


class Exchanged:
    """A strategy whose long-lived secrets are exchanged. A token that it finds in their place is good as it is.

    Its source may be read again every few seconds, to notice a change; the service is asked when the secret is another
    one, or when the token grows old.
    """

    def __init__(self, strategy: CredentialStrategy, service: TokenService, clock: Clock) -> None:
        self.label = strategy.label
        self.unavailable = strategy.unavailable
        self._strategy = strategy
        self._service = service
        self._clock = clock
        self._held: _Held | None = None

    def load(self) -> Loaded:
        found = self._strategy.load()
        if not self._service.takes(found.credential):
            return found
        held = self._held
        if held is None or held.secret != found.credential or held.youth.is_over(self._clock):
            held = self._held = self._exchanged(found.credential)
        return Loaded(
            credential=held.token,
            source=f"{found.source}, exchanged by {self._service.name}",
            expires_at=held.ends,
            refresh_after=found.refresh_after,
        )

    def forget(self) -> None:
        """The provider refused the token: the next load asks for another."""
        self._held = None
        if isinstance(self._strategy, Remembering):
            self._strategy.forget()

    def _exchanged(self, secret: Credential) -> _Held:
        # Before the call: the time that it takes is of the token's life.
        wall = self._clock.wall()
        token, life = self._service.token(secret)
        return _Held(secret=secret, token=BearerToken(value=token), ends=wall + life, youth=Youth.of(life, self._clock))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """A token, the secret that it was given for, its end as Unix time, and until when it is used again."""

    secret: Credential
    token: BearerToken
    ends: float
    youth: Youth
