"""A session's key and token, and how Oracle's refusals are told."""

from __future__ import annotations

import pytest

from llmauth.credentials.workload_identity.oci import session
from llmauth.outbound import Answer
from llmauth.sources import SourceFailed
from tests.emulators.oci_identity import session_key


def test_every_key_is_another_one() -> None:
    one, other = session.fresh_key(), session.fresh_key()
    assert one.key_size == 2048
    assert one.private_numbers() != other.private_numbers()
    assert session_key(session.public_part(one)).public_numbers() == one.public_key().public_numbers()


def test_the_end_is_the_tokens(realm, key_of) -> None:
    realm.wall = lambda: 1_800_000_000.0
    key = session.fresh_key()
    token = realm.session_token(key.public_key())
    loaded = session.session(f"ST${token}", key, "somewhere")
    assert loaded.expires_at == 1_800_000_000.0 + 1200
    assert key_of(loaded).key_id.reveal() == f"ST${token}"
    assert token not in repr(loaded)


@pytest.mark.parametrize(
    ("token", "told"),
    [("canary-7f3a", "no token of three parts"), ("a.b\r\nX: canary-7f3a.c", "three parts"), ("a.e30.c", "no end")],
)
def test_what_is_no_token_of_a_session(token, told) -> None:
    with pytest.raises(SourceFailed, match=told) as caught:
        session.session(token, session.fresh_key(), "somewhere")
    assert "canary" not in caught.value.reason


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"code": "NotAuthenticated", "message": "canary-7f3a"}', "NotAuthenticated"),
        (b'{"code": "canary 7f3a"}', "status 401"),
        (b'{"code": ["canary-7f3a"]}', "status 401"),
        (b'["canary-7f3a"]', "status 401"),
        (b"canary-7f3a", "status 401"),
        (b'{"a":' * 100_000, "status 401"),
        (b"", "status 401"),
    ],
)
def test_a_refusal_is_told_by_its_code_alone(body, code) -> None:
    assert session.code(Answer(status=401, body=body)) == code
