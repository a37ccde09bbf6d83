"""What `llmauth keys` changes is in the audit record before anybody is told, and so is what was refused."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from llmauth.audit.records import Administered
from llmauth.audit.shared import append_once
from llmauth.storage.home import StateError, StateUnusable
from llmauth.storage.keys import KeyNameTaken, KeyNotFound
from llmauth.storage.records import KeyRecord

Done = Callable[[KeyRecord], None]


@contextmanager
def recorded(home: Path | None, action: str, name: str, otherwise: str) -> Iterator[Done]:
    """Gives what is to be called with the key that was changed, before its secret is shown. No home, no record.

    A record that cannot be written is a StateError, which says `otherwise`: what holds now, and what is to do.
    """
    try:
        yield lambda record: _done(home, action, record, otherwise)
    except (KeyNotFound, KeyNameTaken) as error:
        if home is not None:
            # A refusal changed nothing, so it may be told all the same.
            with suppress(StateError):
                append_once(
                    home, Administered(action=action, by=_account(), result="refused", name=name, reason=str(error))
                )
        raise


def _done(home: Path | None, action: str, record: KeyRecord, otherwise: str) -> None:
    if home is None:
        return
    told = Administered(action=action, by=_account(), subject=record.id, user=record.user, name=record.name)
    try:
        append_once(home, told)
    except StateError as error:
        raise StateUnusable(f"{otherwise.format(name=record.name)} {error}") from None


def _account() -> str:
    """Who calls the command, as the system knows it and not as its environment says."""
    user = os.getuid()
    try:
        return f"cli:{pwd.getpwuid(user).pw_name}"
    except KeyError:  # in a container an account may have a number alone
        return f"cli:{user}"
