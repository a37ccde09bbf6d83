"""A compact token: what it names as its issuer at a glance, and a reading in which nothing has two meanings."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmauth.authenticators.compact import LONGEST, issuer_of, read
from tests.fixtures.forgeries import b64, nobody, raw

HEADER = b'{"alg":"RS256"}'


def token(payload: bytes, header: bytes = HEADER) -> str:
    return raw(header, payload, lambda _: b"signature")


def test_parts() -> None:
    text = token(b'{"iss":"https://a","n":[1,{"x":2.5}]}')
    parts = read(text)
    assert parts.header == {"alg": "RS256"}
    assert parts.payload == {"iss": "https://a", "n": [1, {"x": 2.5}]}
    assert parts.signed == text.rpartition(".")[0].encode()
    assert parts.signature == b"signature"
    assert "https://a" not in repr(parts)


def test_a_glance_names_the_issuer() -> None:
    assert issuer_of(token(b'{"iss":"https://a"}')) == "https://a"
    assert issuer_of(raw(HEADER, b'{"iss":"https://a"}', nobody)) == "https://a"


@pytest.mark.parametrize(
    "payload",
    [b"{}", b'{"iss":1}', b'{"iss":null}', b"[]", b"null", b"", b"{", b"\xff", b'{"iss":"\xff"}', b"{" * 9000],
)
def test_a_glance_at_anything_else(payload: bytes) -> None:
    assert issuer_of(token(payload)) is None


def test_a_glance_is_short() -> None:
    assert issuer_of(token(json.dumps({"iss": "https://a", "x": "x" * LONGEST}).encode())) is None
    assert issuer_of("e" * 10**6) is None


@pytest.mark.parametrize(
    "payload",
    [
        b'{"a":1,"a":1}',
        b'{"a":{"b":1,"b":2}}',
        b'{"a":1,"\\u0061":2}',
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":1e400}',
        b'{"a":"\xff"}',
        b'\xef\xbb\xbf{"a":1}',
        '{"a":1}'.encode("utf-16"),
        b'{"a":1} x',
        b"[1]",
        b'"a"',
        b"",
        b"[" * 10_000,
        b'{"a":' * 2_000 + b"1" + b"}" * 2_000,
        b'{"a":' + b"1" * 5_000 + b"}",
    ],
)
def test_what_two_readers_could_understand_in_two_ways(payload: bytes) -> None:
    for text in (token(payload), token(b"{}", payload)):
        with pytest.raises(ValueError):
            read(text)


def test_each_part_has_one_spelling() -> None:
    head, body, tail = raw(HEADER, b"{}", lambda _: b"\x00" * 4).split(".")
    assert tail == "AAAAAA"
    for spelling in (
        "AAAAAB",
        "AAAAAA==",
        "AAAAAA=",
        "AAAA+A",
        "AAAA/A",
        "AAAAA",
        "AAAA AA",
        "AAAAAA\n",
        "AAAA.A",
        "ААAAAA",
    ):
        with pytest.raises(ValueError):
            read(f"{head}.{body}.{spelling}")


@pytest.mark.parametrize("length", range(6))
def test_padding_is_taken_where_it_belongs(length: int) -> None:
    """As AWS's load balancers write it; what is signed is what came."""
    padded = [base64.urlsafe_b64encode(each).decode() for each in (HEADER, b"{}", b"x" * length)]
    text = ".".join(padded)
    assert read(text, padded=True).signed == f"{padded[0]}.{padded[1]}".encode()
    assert read(text, padded=True).signature == b"x" * length
    for wrong in (f"{text}=", f"={text}", text.replace(".", "=.", 1), f"{padded[0]}.{padded[1]}=.{padded[2]}==="):
        with pytest.raises(ValueError):
            read(wrong, padded=True)


@given(st.text(max_size=60))
def test_text_is_read_or_refused(text: str) -> None:
    for padded in (False, True):
        with pytest.raises(ValueError):
            read(text, padded=padded)


@given(
    st.dictionaries(st.text(max_size=5), st.text(max_size=5) | st.integers(-9, 9) | st.none()), st.binary(max_size=40)
)
def test_what_is_well_formed_is_read(claims: dict[str, object], signature: bytes) -> None:
    text = f"{b64(HEADER)}.{b64(json.dumps(claims).encode())}.{b64(signature)}"
    assert read(text).payload == claims
    assert read(text).signature == signature
