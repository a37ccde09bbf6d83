"""Credentials are masked by what they are, by their form and by what they are called; all else stays as it was."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from addons.viewing.masks import MASKED, Ambiguous, Masks, is_secret_name, needs_parser
from llmauth.authenticators.tokens import FORM
from llmauth.secrets import MASK
from llmauth.storage.key_text import new_key

KEY = new_key()[1].reveal()
SECRET = b'pa/ss"w\xc3\xb6rd+x'


@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        SECRET.replace(b"/", b"\\/"),
        quote(SECRET, safe="").encode(),
        base64.b64encode(SECRET),
        base64.urlsafe_b64encode(SECRET).rstrip(b"="),
        json.dumps(SECRET.decode()).encode()[1:-1],
        json.dumps(SECRET.decode(), ensure_ascii=False).encode()[1:-1],
    ],
    ids=range(7),
)
def test_what_is_known_is_masked_however_it_is_written(written: bytes) -> None:
    assert written not in Masks([SECRET]).value(b"a " + written + b" b")
    assert Masks([SECRET]).value(b"a b") == b"a b"


def test_what_is_too_short_to_be_known_is_left() -> None:
    assert Masks([b"abc", b""]).value(b"abcdef") == b"abcdef"


@pytest.mark.parametrize(
    "text",
    [
        KEY,
        f"{FORM}e30.s-i_g",
        "llmauth-aws-v1.aHR0cHM6Ly9zdHMu",
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.sig",
        "sk-proj-0123456789abcdef",
        "sk-ant-api03-0123456789",
        "AKIAIOSFODNN7EXAMPLE",
        "AIzaSyA0123456789012345678901234567890",
        "ya29.a0AfH6SMBx",
        "ghp_0123456789abcdefghij",
        "Bearer 0123456789abcdef",
        "Basic dXNlcjpwYXNzd29yZA==",
        "Signature=0123456789abcdef",
        "X-Amz-Credential=AK/20260101/us-east-1",
        "-----BEGIN RSA PRIVATE KEY-----\nMII\nxyz\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nMII",
    ],
    ids=range(16),
)
def test_what_has_the_form_of_a_credential_is_masked(text: str) -> None:
    value = text.rpartition("=")[2] or text
    assert value.encode() not in Masks().value(f"say {text} please".encode())


@pytest.mark.parametrize(
    "text", ["a task-list", "the token is spent", "max_tokens", "about=x&limit=3", "llmauth_config"]
)
def test_honest_text_stays(text: str) -> None:
    assert Masks().text(text.encode()) == text.encode()


@pytest.mark.parametrize(
    "name",
    [
        "api_key",
        "apiKey",
        "X-Api-Key",
        "key",
        "access_token",
        "client_secret",
        "Password",
        "totp_code",
        "authorization",
    ],
)
def test_a_member_that_is_called_like_one_is_masked(name: str) -> None:
    assert is_secret_name(name)
    text = json.dumps({name: 'can"ary', "n": 1}).encode()
    assert json.loads(Masks().json(text)) == {name: MASK, "n": 1}
    assert json.loads(Masks().text(text)) == {name: MASK, "n": 1}
    nested = json.dumps({"arguments": text.decode()}).encode()
    assert b"ary" not in Masks().text(nested)
    assert b"ary" not in Masks().json(json.dumps({"a": nested.decode()}).encode())
    assert Masks().text(f"GET /x?a=1&{name}=canary&b=2".encode()) == f"GET /x?a=1&{name}={MASK}&b=2".encode()


@pytest.mark.parametrize("name", ["model", "max_tokens", "tokenizer", "content", "author", "monkeys", "spin"])
def test_a_member_that_is_called_otherwise_stays(name: str) -> None:
    text = json.dumps({name: 12, "usage": {"input_tokens": 3}}).encode()
    assert Masks().json(text) == text


def test_whatever_stands_in_such_a_member_is_masked() -> None:
    text = json.dumps({"credentials": {"a": ["x", 1], "b": {"c": "y"}}, "password": 123456, "tokens": 7}).encode()
    assert json.loads(Masks().json(text)) == {
        "credentials": {"a": [MASK, 1], "b": {"c": MASK}},
        "password": MASK,
        "tokens": 7,
    }


def test_letters_that_are_escaped_are_read() -> None:
    """A view would show them as what they are."""
    text = b'{"\\u0061pi_key": "canary", "x": "llmauth\\u005fabcdefghij\\u005fklmnopqrstuvwxyz"}'
    assert Masks().text(text).count(MASKED) == 2
    assert b"canary" not in Masks().json(text)


def test_an_unfinished_member_is_masked_to_its_end() -> None:
    assert Masks().text(b'{"password": "one two thr') == b'{"password": "' + MASKED


def test_what_is_no_document_or_two_is_told() -> None:
    with pytest.raises(ValueError, match="Expecting"):
        Masks().json(b'{"key": [')
    with pytest.raises(Ambiguous):
        Masks().json(b'{"a": 1, "a": {"key": 1}, "key": [1]}')


# ---- whatever the document ---------------------------------------------------------------------------------------

NAMES = ("api_key", "apiKey", "password", "Authorization", "client_secret", "access_token", "key")
PLAIN = ("model", "content", "n", "messages", "")
TEXTS = ("CANARY", 'CAN"ARY', "CANARY\\", "CANARY/x", "CANARY\n", "CANÄRY", "a CANARY b")


def texts(secret: bool) -> st.SearchStrategy[object]:
    return st.sampled_from(TEXTS) if secret else st.sampled_from(("hello", "", 'say "x"', "a\\b", 12, None, True))


def nested(inner: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    secret = st.dictionaries(st.sampled_from(NAMES), texts(True) | st.lists(texts(True), max_size=2), max_size=2)
    both = st.tuples(secret, st.dictionaries(st.sampled_from(PLAIN), inner, max_size=3)).map(lambda p: {**p[0], **p[1]})
    return both | st.lists(inner, max_size=3) | both.map(json.dumps)


@settings(max_examples=100, deadline=None)
@given(st.recursive(texts(False), nested, max_leaves=12), st.booleans(), st.sampled_from([None, 1]))
def test_no_document_shows_what_stands_under_such_a_name(
    document: object, ascii_only: bool, indent: int | None
) -> None:
    """Objects in texts in objects too, and read again by whoever looks."""
    text = json.dumps({"x": document}, ensure_ascii=ascii_only, indent=indent).encode()
    for found in (Masks().json(text), Masks().text(text)) if not needs_parser(text) else (Masks().json(text),):
        assert b"ARY" not in found
        assert "ARY" not in repr(json.loads(found))
        assert b"hello" in found or b"hello" not in text


@settings(max_examples=100, deadline=None)
@given(st.text(min_size=6, max_size=20), st.booleans(), st.sampled_from(("", "a ", "b")), st.sampled_from(("", " a")))
def test_no_document_shows_what_is_known(secret: str, ascii_only: bool, before: str, after: str) -> None:
    document = {"a": [f"{before}{secret}{after}"], "b": {secret: 1}}
    text = json.dumps(document, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    masked = Masks([secret.encode("utf-8", "surrogatepass")]).json(text)
    assert f'"{before}{secret}{after}"' not in masked.decode("utf-8", "replace")
    assert secret not in json.loads(masked)["b"]
