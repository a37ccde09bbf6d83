"""What the users of issued keys ask of them, wherever they are kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from llmauth.rules import NO_RULES, Rules
from llmauth.secrets import Secret
from llmauth.storage.codes import Enrolment, FactorResult
from llmauth.storage.records import KeyRecord, Snapshot


class KeyRegistry(Protocol):
    """The keys of one place. Every method may raise StateError; a change is on the disk when it returns.

    `shared` says whether other machines may use the place too, `stale_after` for how many seconds what was read last
    may be judged by.
    """

    shared: bool
    stale_after: float

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
        """A new key, whose text is told here and never again; KeyNameTaken, and ValueError for what is no name."""
        ...

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
        """A new access-key pair in the form of AWS's: its record, its access key id, and its secret."""
        ...

    def pair_secret(self, record: KeyRecord) -> Secret:
        """The secret of an access-key pair, for its signatures."""
        ...

    def list(self, *, with_sessions: bool = False) -> tuple[KeyRecord, ...]:
        """All keys by name, the living one of a name first and then the revoked ones, latest first."""
        ...

    def revoke(self, name_or_id: str) -> KeyRecord:
        """End a key for good, its sessions with it; KeyNotFound when no living key has this name or id."""
        ...

    def rotate(self, name_or_id: str) -> tuple[KeyRecord, Secret]:
        """A new id and secret in the place of the old ones, which end in the same moment with their sessions."""
        ...

    def open_session(
        self,
        *,
        user: str,
        groups: Iterable[str],
        method: str,
        key_id: str | None,
        key_name: str | None,
        second_factor: bool,
        ends_at: float,
        rules: Rules = NO_RULES,
        issued: bool = True,
    ) -> tuple[KeyRecord, Secret]:
        """A new session, which ends at `ends_at`, or with its key; KeyNotFound for a key that has ended."""
        ...

    def close_session(self, session_id: str) -> bool:
        """End a session for good; False where it had ended already, or never was."""
        ...

    def forget_sessions(self) -> int:
        """Delete the sessions that ended more than a day ago, and say how many there were. This is no change."""
        ...

    def enrol(self, name_or_id: str) -> Enrolment:
        """A second factor for a key or pair, in the place of the one it had; its sessions end."""
        ...

    def prove_factor(self, key_id: str, code: str, at: float) -> FactorResult:
        """Judge a code at this Unix time and use it up, once among all processes; what is wrong is counted."""
        ...

    def snapshot(self, since: int = 0) -> Snapshot:
        """Everything that is needed to judge keys in memory, or what changed of it since a revision."""
        ...

    def version(self) -> tuple[int, int]:
        """Two numbers that stay the same as long as a snapshot that was taken is still true; cheap to ask."""
        ...

    def is_behind(self) -> bool:
        """Whether nobody could read the version for longer than a second: what is known may not be what is true."""
        ...

    def touch(self, used: Mapping[str, float]) -> None:
        """Note when keys (by id) were last used; this is no change of the revision, and never turns time back."""
        ...

    def close(self) -> None:
        """Close every connection."""
        ...
