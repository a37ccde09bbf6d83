"""The method `basic`: users and passwords of an htpasswd file or of the environment, proved by bcrypt once each."""

from __future__ import annotations

import hmac
import logging
import os
import threading
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from llmauth.authenticators.base import AuthSurroundings, Presented, Reason, Slot, wrong
from llmauth.authenticators.followed import Contents, FollowedFiles
from llmauth.authenticators.lockout import Lockout
from llmauth.authenticators.passwords import (
    LONGEST,
    VARIABLE,
    WEAK_COST,
    Entry,
    from_file,
    from_variable,
    hashing,
    weakest_cost,
)
from llmauth.authenticators.presented import NO_PASSWORD_HINT
from llmauth.authenticators.tokens import FORM
from llmauth.context import Identity
from llmauth.errors import Unauthenticated
from llmauth.storage.home import StateUnusable
from llmauth.storage.key_text import PREFIX

log = logging.getLogger(__name__)

REMEMBERED = 4096
STRANGERS_A_SECOND = 4
"""How many passwords of names that nobody has are hashed; a flood of them must not keep keys from being judged."""
_TAKEN = frozenset({Slot.AUTHORIZATION, Slot.PROXY})
# Whoever sends these with a name that we know as well has put a key of ours where a password may stand.
_KEYS = (PREFIX, FORM)

# A user that is not there takes as long as one that is.
_NOBODY = Entry(user="", hashed="$2b$12$" + "." * 53, digested=True)


class BasicOptions(BaseModel):
    """Users of a file; those of BASIC_AUTH_CREDENTIALS are taken beside them."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    type: Literal["basic"]
    htpasswd: Path | None = None


class Basic:
    """Passwords by user. `recall` and `current` read dictionaries that are replaced whole, or changed by single steps.

    A value is known by its user: any other Basic credential is a placeholder, as ibm-watsonx-ai's `bx:bx` is.
    """

    name: Final = "basic"
    slots: Final[frozenset[Slot]] = frozenset()

    def __init__(self, options: BasicOptions, surroundings: AuthSurroundings) -> None:
        """ValueError, a sentence without any value, for users that cannot be used, and where there are none."""
        given = surroundings.environ.get(VARIABLE, "")
        if not given and options.htpasswd is None:
            raise ValueError(f"The method 'basic' has no users: name an `htpasswd` file, or set {VARIABLE}.")
        self._given: dict[str, str] = from_variable(given) if given else {}
        self._named = frozenset(self._given)
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="hash-passwords") if given else None
        self._hashing: Mapping[str, Future[Entry]] = {}
        self._listed: Mapping[str, Entry] = {}
        self._files: FollowedFiles | None = None
        if options.htpasswd is not None:
            self._file = options.htpasswd
            self._files = FollowedFiles((options.htpasswd,), self._load, name="htpasswd")
        # Digests of user and password, under a secret of this process -> the hash that was proved, or disproved.
        self._proved: dict[bytes, str] = {}
        self._disproved: dict[bytes, str] = {}
        self._remembering = threading.Lock()
        self._secret = os.urandom(32)
        self._clock = surroundings.clock
        self._hashed_at: deque[float] = deque()
        self._lockout = Lockout(surroundings.clock)
        self._strangers = Lockout(surroundings.clock, most=REMEMBERED)

    def start(self) -> None:
        """Read the file, and have the passwords of the environment hashed meanwhile; StateUnusable for a bad file."""
        if self._pool is not None:
            self._hashing = hashing(self._given, self._pool)
            self._given = {}
        if self._files is not None:
            try:
                self._files.start()
            except ValueError as error:
                raise StateUnusable(f"The method 'basic' cannot be used: {error}.") from None

    def stop(self) -> None:
        """Follow the file no longer."""
        if self._files is not None:
            self._files.stop()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def usable(self) -> bool:
        """Always: a file that cannot be read any more leaves what was read before."""
        return True

    def recognises(self, presented: Presented) -> bool:
        """By the name of a user that is configured, beside anything but a key of ours."""
        user = presented.user
        return bool(user) and presented.slot in _TAKEN and self._knows(user) and not presented.value.startswith(_KEYS)

    def may_name_a_stranger(self, presented: Presented) -> bool:
        """Whether it is a name and a password for nobody we know.

        Where nothing else is presented `recall` and `authenticate` are to judge it as they judge a wrong password, so
        that no answer, and no time that it takes, tells which names there are.
        """
        return bool(presented.user) and presented.slot in _TAKEN and not presented.value.startswith(_KEYS)

    def recall(self, presented: Presented) -> Identity | None:
        """Microseconds; see Authenticator. What was proved is not kept out by anybody's wrong guesses."""
        user, entry = presented.user, self._entry(presented.user)
        if len(presented.value) > LONGEST:
            raise _wrong("malformed", f"more than {LONGEST} characters")
        digest = self._digest(presented)
        if entry is not None and self._proved.get(digest) == entry.hashed:
            return _identity(entry)
        if self._disproved.get(digest) == (entry or _NOBODY).hashed:
            raise _wrong("bad_key", self._shown(user))
        if self._lock(user).is_locked(user):
            raise _wrong("factor_locked", f"{self._shown(user)}: too many wrong passwords")
        return None

    def authenticate(self, presented: Presented) -> Identity:
        """A quarter of a second at a cost of 12, whoever is named and whatever the password; see Authenticator."""
        user = presented.user
        entry = self._judging(user)
        lock = self._lock(user)
        # Asked again: many guesses may have been waiting for a thread when the lock fell.
        if lock.is_locked(user):
            raise _wrong("factor_locked", f"{self._shown(user)}: too many wrong passwords")
        if entry is not None and entry.takes(presented.value):
            reason: Reason = "bad_key"
            matched = entry.matches(presented.value)
        else:
            reason, matched = "unknown_key" if entry is None else "malformed", False
            if entry is not None or self._has_time_for_a_stranger():
                _NOBODY.matches(presented.value)
        if entry is None or not matched:
            self._remember(self._disproved, presented, entry or _NOBODY)
            lock.failed(user)
            raise _wrong(reason, self._shown(user))
        self._remember(self._proved, presented, entry)
        lock.passed(user)
        return _identity(entry)

    def current(self, identity: Identity) -> Identity:
        """Ends with the user, and with a change of the password in the file."""
        if identity.key_id is None:
            if identity.user in self._named:
                return identity
        elif (entry := self._listed.get(identity.user)) is not None and entry.version == identity.key_id:
            return identity
        raise wrong("revoked", f"user {identity.user}")

    def _load(self, contents: Contents) -> None:
        entries = from_file(contents[self._file], str(self._file))
        if both := self._named & entries.keys():
            raise ValueError(f"{self._file} names '{min(both)}', who stands in {VARIABLE} as well")
        if weakest_cost(entries.values()) < WEAK_COST:
            facts = {"file": str(self._file), "wanted": WEAK_COST}
            log.warning("htpasswd: some hashes have a low bcrypt cost, and are guessed quickly", extra=facts)
        self._listed = entries

    def _entry(self, user: str) -> Entry | None:
        """The user's entry as far as it is known now."""
        listed = self._listed.get(user)
        if listed is not None:
            return listed
        future = self._hashing.get(user)
        return future.result() if future is not None and future.done() else None

    def _knows(self, user: str) -> bool:
        return user in self._named or user in self._listed

    def _lock(self, user: str) -> Lockout:
        """Strangers' guesses are counted apart: no number of made-up names pushes out what was counted of a user."""
        return self._lockout if self._knows(user) else self._strangers

    def _shown(self, user: str) -> str:
        """A name as the log has it; a stranger's may be a password that stands in the wrong place."""
        return f"user {user}" if self._knows(user) else "nobody's name"

    def _has_time_for_a_stranger(self) -> bool:
        now = self._clock.monotonic()
        with self._remembering:
            while self._hashed_at and self._hashed_at[0] <= now - 1:
                self._hashed_at.popleft()
            if len(self._hashed_at) >= STRANGERS_A_SECOND:
                return False
            self._hashed_at.append(now)
            return True

    def _judging(self, user: str) -> Entry | None:
        """The user's entry, waited for where it is still being hashed."""
        future = self._hashing.get(user)
        return self._listed.get(user) if future is None else future.result()

    def _remember(self, memory: dict[bytes, str], presented: Presented, entry: Entry) -> None:
        with self._remembering:
            while len(memory) >= REMEMBERED:
                del memory[next(iter(memory))]
            memory[self._digest(presented)] = entry.hashed

    def _digest(self, presented: Presented) -> bytes:
        # No user's name holds a colon, so that two pairs never give the same text.
        text = f"{presented.user}:{presented.value}"
        return hmac.digest(self._secret, text.encode("utf-8", "surrogateescape"), "sha256")


def _wrong(reason: Reason, detail: str) -> Unauthenticated:
    """In the words of a value that nobody recognises."""
    error = wrong(reason, detail)
    error.hint = NO_PASSWORD_HINT
    return error


def _identity(entry: Entry) -> Identity:
    return Identity(user=entry.user, method=Basic.name, key_id=entry.version)
