"""New records with their secrets, as they are before anybody has written them down."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from llmauth.secrets import Secret
from llmauth.storage.key_text import ALGORITHM, hash_key, new_key, new_pair, new_session
from llmauth.storage.records import KeyRecord, Kind

SEALED = "sealed"
"""The algorithm of a pair, whose secret is encrypted and not hashed."""
_NAME = re.compile(r"\w[\w.@:/+-]{0,99}")
# The names in a session are those that a method has proved. Keycloak's groups begin with a slash.
_PROVED = re.compile(r"[\w.@:/+-]{1,100}")


def draft(
    kind: Kind, *, name: str, user: str, groups: Iterable[str], created: float, expires: float | None
) -> tuple[KeyRecord, Secret]:
    """A record of this kind under a new id, and its text or secret; ValueError for a name that is none."""
    member = tuple(groups)
    for each in (name, user, *member):
        _require_name(each, _PROVED if kind == "session" else _NAME)
    key_id, secret = _NEW[kind]()
    record = KeyRecord(
        id=key_id,
        name=name,
        user=user,
        groups=member,
        algorithm=SEALED if kind == "aws" else ALGORITHM,
        hash="" if kind == "aws" else hash_key(secret),
        created=created,
        expires=expires,
        revoked=None,
        last_used=None,
        kind=kind,
    )
    return record, secret


def successor(old: KeyRecord, created: float) -> tuple[KeyRecord, Secret]:
    """A record that takes the place of another: all it may do, and the same length of life again.

    A session ends when it would have ended.
    """
    expires = old.expires
    if expires is not None and old.kind != "session":
        expires = created + expires - old.created
    new, secret = draft(old.kind, name=old.name, user=old.user, groups=old.groups, created=created, expires=expires)
    carried = replace(
        new,
        parent=old.parent,
        method=old.method,
        rules=old.rules,
        require_totp=old.require_totp,
        enrolled=old.enrolled,
        second_factor=old.second_factor,
    )
    return carried, secret


_NEW = {"key": new_key, "session": new_session, "aws": new_pair}


def _require_name(text: str, form: re.Pattern[str]) -> None:
    if not form.fullmatch(text):
        raise ValueError(
            f"{text[:40]!r} cannot be the name of a key, user or group; "
            "use 1 to 100 letters, digits and . _ @ : / + - with a letter or digit first."
        )
