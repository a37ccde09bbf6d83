"""What is the same wherever keys are kept: how they are made, shown in order, and how a pair's secret is opened."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import replace

from llmauth.clock import Clock
from llmauth.rules import NO_RULES, Rules
from llmauth.secrets import Secret
from llmauth.storage import stored_rules
from llmauth.storage.drafts import draft
from llmauth.storage.home import StateError
from llmauth.storage.records import KeyNotFound, KeyRecord, Kind
from llmauth.storage.sealing import SealingKey
from llmauth.storage.tables import KEYS


class KeyNameTaken(StateError):
    """A living key has this name already."""


class Issuing(ABC):
    """The half of a KeyRegistry that asks its place for two things only: to write a new record, and to read all."""

    def __init__(self, clock: Clock, sealing: SealingKey) -> None:
        self._clock = clock
        self._sealing = sealing

    @abstractmethod
    def _issue(self, record: KeyRecord, secret: Secret) -> KeyRecord:
        """Write a new record, an access-key pair with its secret sealed; what was written. KeyNameTaken."""

    @abstractmethod
    def _records(self, *, with_sessions: bool) -> Iterable[KeyRecord]:
        """All records, in any order."""

    def create(
        self,
        name: str,
        user: str | None = None,
        groups: Iterable[str] = (),
        expires_at: float | None = None,
        *,
        rules: Rules = NO_RULES,
        require_totp: bool = False,
    ) -> tuple[KeyRecord, Secret]:
        """A new key, whose text is told here and never again. The user is `name` unless given.

        Raises KeyNameTaken, and ValueError for a name or a rule that is none.
        """
        record, secret = self._drafted("key", name, user, groups, expires_at, rules)
        return self._issue(replace(record, require_totp=require_totp), secret), secret

    def create_pair(
        self,
        name: str,
        user: str | None = None,
        groups: Iterable[str] = (),
        expires_at: float | None = None,
        *,
        rules: Rules = NO_RULES,
        require_totp: bool = False,
    ) -> tuple[KeyRecord, str, Secret]:
        """A new access-key pair in the form of AWS's: its record, its access key id (the record's), and its secret.

        Raises as `create` does, and StateError where nothing can be sealed.
        """
        record, secret = self._drafted("aws", name, user, groups, expires_at, rules)
        written = self._issue(replace(record, require_totp=require_totp), secret)
        return written, written.id, secret

    def pair_secret(self, record: KeyRecord) -> Secret:
        """The secret of an access-key pair, for its signatures; StateError where it cannot be opened, or has ended."""
        if record.sealed is None:
            raise KeyNotFound(f"The record {record.id} has no sealed secret: it is no pair, or was revoked.")
        return self._sealing.open(record.sealed, KEYS.name, record.id)

    def list(self, *, with_sessions: bool = False) -> tuple[KeyRecord, ...]:
        """All keys by name, the living one of a name first and then the revoked ones, latest first."""
        records = self._records(with_sessions=with_sessions)
        return tuple(sorted(records, key=lambda r: (r.name, r.revoked is not None, -r.created)))

    def _drafted(
        self, kind: Kind, name: str, user: str | None, groups: Iterable[str], expires_at: float | None, rules: Rules
    ) -> tuple[KeyRecord, Secret]:
        stored_rules.require(rules)
        made, secret = draft(
            kind,
            name=name,
            user=name if user is None else user,
            groups=groups,
            created=self._clock.wall(),
            expires=expires_at,
        )
        return replace(made, rules=rules), secret


def taken(record: KeyRecord, now: float) -> str:
    """The sentence of KeyNameTaken."""
    state = "an expired" if record.ended(now) else "a living"
    return (
        f"There is {state} key named '{record.name}' (id {record.id}). "
        f"Replace it by `llmauth keys rotate {record.name}`, or end it first by `llmauth keys revoke {record.name}`."
    )
