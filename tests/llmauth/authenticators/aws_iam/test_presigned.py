"""Tokens: those of botocore are read, and everything else is refused before anything is dialled."""

from __future__ import annotations

import time

import pytest

from llmauth.authenticators.aws_iam.presigned import HEADER, LIFETIME, LONGEST_TEXT, MARK, made, read
from llmauth.errors import Unauthenticated
from llmauth.secrets import AwsKeys, Secret
from tests.fixtures.aws_tokens import HOST, SERVER_ID, hostile, packed, query, stamp, token, unpacked
from tests.fixtures.dials import watched

KEYS = AwsKeys(access_key_id="ASIAEXAMPLE000000001", secret_access_key=Secret("s"), session_token=Secret("a/+=b"))
NOW = time.time()  # that of the wrong ones: none of them shall be refused for its age alone
HOSTILE = list(hostile())


def test_a_token_of_ours_is_read() -> None:
    text, ends = made(KEYS, region="eu-central-1", server_id=SERVER_ID)
    found = read(text, server_id=SERVER_ID, now=time.time())
    assert (found.host, found.ends) == ("sts.eu-central-1.amazonaws.com", ends)
    assert abs(ends - time.time() - LIFETIME) < 5
    assert sorted(found.target()[2:].split("&")) == sorted(unpacked(text)["url"].partition("?")[2].split("&"))


def test_a_token_is_a_word_that_a_url_can_hold() -> None:
    text, _ = made(KEYS, region="us-east-1", server_id=SERVER_ID)
    assert set(text) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


@pytest.mark.parametrize(
    "told",
    [
        token(),
        token() + "=" * (-len(token().removeprefix(MARK)) % 4),
        token(headers={HEADER: SERVER_ID, "Host": HOST}),
        token(X_Amz_Expires="60"),
        token(X_Amz_Security_Token=None),
        token(X_Amz_Content_Sha256="UNSIGNED-PAYLOAD"),
        token(X_Amz_Date=stamp(seconds=-50)) if stamp(seconds=-50)[:8] == stamp()[:8] else token(),
        token(f"https://{HOST}/?" + "&".join(reversed(query().split("&")))),
    ],
)
def test_what_other_signers_write_is_read(told) -> None:
    assert read(told, server_id=SERVER_ID, now=time.time()).host == HOST


def test_a_token_counts_as_long_as_its_signature_at_most() -> None:
    moment = time.time()
    assert read(token(X_Amz_Expires="60"), server_id=SERVER_ID, now=moment).ends <= moment + 60


def test_what_is_sent_is_written_anew_in_one_order() -> None:
    told = query()
    urls = (f"https://{HOST}/?{told}", f"https://{HOST}/?" + "&".join(reversed(told.split("&"))))
    one, other = (read(token(url), server_id=SERVER_ID, now=time.time()) for url in urls)
    names = [pair.partition("=")[0] for pair in one.target()[2:].split("&")]
    assert names == sorted(names)
    assert one.target() == other.target()


def test_there_are_hundreds_of_them() -> None:
    assert len(HOSTILE) >= 300
    assert len({text for _, text in HOSTILE}) >= 290


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in HOSTILE])
def test_a_wrong_token_is_refused_without_a_connection(text) -> None:
    """S3, S7, S8: nothing that a caller writes chooses where we connect to."""
    with watched() as dials, pytest.raises(Unauthenticated) as refusal:
        read(text, server_id=SERVER_ID, now=NOW)
    assert dials == []
    assert refusal.value.reason in ("malformed", "not_allowed", "expired")
    assert "canary" not in refusal.value.detail
    assert "0" * 64 not in refusal.value.detail


def test_the_longest_token_is_read_and_a_longer_one_is_not() -> None:
    room = LONGEST_TEXT - len(token(X_Amz_Security_Token="x")) - 8
    longest = token(X_Amz_Security_Token="x" * (room * 3 // 4))
    assert read(longest, server_id=SERVER_ID, now=time.time()).host == HOST
    with pytest.raises(Unauthenticated):
        read(longest + "A" * 12, server_id=SERVER_ID, now=time.time())


def test_no_repr_shows_a_signature() -> None:
    assert "X-Amz" not in repr(read(token(), server_id=SERVER_ID, now=time.time()))


def test_a_token_of_deep_json_is_refused() -> None:
    with pytest.raises(Unauthenticated):
        read(packed('{"url":' + "[" * 3000), server_id=SERVER_ID, now=time.time())


def test_no_token_is_made_for_what_is_no_region() -> None:
    with pytest.raises(ValueError, match="no region"):
        made(KEYS, region="evil.example/", server_id=SERVER_ID)
