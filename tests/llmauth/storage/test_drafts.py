"""New records of each kind, and those that take another's place."""

from __future__ import annotations

import dataclasses

import pytest

from llmauth.rules import Rules
from llmauth.storage.drafts import SEALED, draft, successor
from llmauth.storage.key_text import is_pair_id, is_session, matches


def made(kind="key", **more):
    given = {"name": "ci", "user": "alice", "groups": ["a"], "created": 100.0, "expires": 160.0, **more}
    return draft(kind, **given)


@pytest.mark.parametrize("kind", ["key", "session"])
def test_of_a_text_the_hash_is_kept(kind):
    record, text = made(kind)
    assert record.kind == kind
    assert matches(text.reveal(), record.algorithm, record.hash)
    assert is_session(text.reveal()) == (kind == "session")


def test_of_a_pair_nothing_is_kept_yet():
    record, secret = made("aws")
    assert is_pair_id(record.id)
    assert (record.algorithm, record.hash, record.sealed) == (SEALED, "", None)
    assert not matches(secret.reveal(), record.algorithm, record.hash)
    assert secret.reveal() not in repr(record)


@pytest.mark.parametrize("kind", ["key", "session", "aws"])
@pytest.mark.parametrize("field", ["name", "user", "groups"])
def test_names_are_looked_at(kind, field):
    with pytest.raises(ValueError, match="letters, digits"):
        made(kind, **{field: ["a b"] if field == "groups" else "a b"})


def test_a_session_may_have_the_groups_of_any_issuer():
    assert made("session", groups=["/staff/llm"])[0].groups == ("/staff/llm",)
    with pytest.raises(ValueError, match="letters, digits"):
        made("key", groups=["/staff/llm"])


@pytest.mark.parametrize(("kind", "expires"), [("key", 260.0), ("aws", 260.0), ("session", 160.0)])
def test_a_successor_may_do_the_same_for_as_long(kind, expires):
    old = dataclasses.replace(
        made(kind)[0], rules=Rules(rpm=5), require_totp=True, enrolled=101.0, parent="p", method="m", second_factor=True
    )
    old = dataclasses.replace(old, last_used=150.0, sealed="x")
    new, secret = successor(old, 200.0)
    assert (new.created, new.expires, new.last_used, new.sealed, new.revoked) == (200.0, expires, None, None, None)
    changed = {each.name for each in dataclasses.fields(new) if getattr(new, each.name) != getattr(old, each.name)}
    assert changed <= {"id", "hash", "created", "expires", "last_used", "sealed"}
    assert new.id != old.id
    assert secret
