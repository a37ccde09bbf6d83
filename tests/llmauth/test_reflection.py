"""What of a request is secret, and how it is found again in the head of an answer."""

from __future__ import annotations

import pytest

from llmauth.errors import BrokenAnswer, UpstreamError
from llmauth.reflection import MASKED, hide, mask, masked, secrets_of, shows

KEY = b"sk-a1b2c3d4e5f6"
ENCODED = b"sk%2Da1b2c3d4e5%66%36"


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        (b"Authorization", b"Bearer " + KEY, KEY),
        (b"authorization", KEY, KEY),
        (b"x-api-key", KEY, KEY),
        (b"api-key", KEY, KEY),
        (b"X-Goog-Api-Key", KEY, KEY),
        (b"X-Amz-Security-Token", KEY, KEY),
        (
            b"Authorization",
            b"AWS4-HMAC-SHA256 Credential=AKIA/x, SignedHeaders=a;b, Signature=0123456789ab",
            b"0123456789ab",
        ),
        (b"Authorization", b'Signature version="1",keyId="t/u/f",signature="abc+/def=="', b"abc+/def=="),
    ],
)
def test_what_was_put_on_a_request_is_secret(name: bytes, value: bytes, secret: bytes) -> None:
    found = secrets_of([(b"Host", b"api.openai.com"), (name, value), (b"X-Amz-Date", b"20260101T000000Z")])
    assert set(found) == {secret, value}
    assert list(found) == sorted(found, key=len, reverse=True)


def test_the_rest_of_a_request_is_not() -> None:
    assert secrets_of([(b"Host", b"api.openai.com"), (b"Cookie", KEY), (b"X-Request-Id", KEY)]) == ()


def test_what_is_too_short_to_be_a_key_is_looked_for_nowhere() -> None:
    assert secrets_of([(b"x-api-key", b"a")]) == ()


@pytest.mark.parametrize(
    ("field", "reason", "shown"),
    [
        ((b"X", b"y"), b"OK", False),
        ((b"X", b"<" + KEY + b">"), b"OK", True),
        ((b"X-" + KEY, b"1"), b"OK", True),
        ((b"x-" + KEY.upper(), b"1"), b"OK", True),
        ((b"X", b"1"), b"no " + KEY, True),
        ((b"Location", b"https://h/?k=" + ENCODED), b"OK", True),
        ((b"X", b"1"), b"no " + ENCODED.lower(), True),
        ((b"X", KEY[:-1]), b"OK", False),
        ((b"X", b"%2" + KEY[:-1] + b"%%"), b"OK", False),
        ((KEY[:5], KEY[5:]), b"OK", False),
    ],
)
def test_it_is_found_in_names_values_and_reason(field: tuple[bytes, bytes], reason: bytes, shown: bool) -> None:
    assert shows([KEY], [(b"A", b"b"), field], reason) is shown


def test_values_are_masked_names_left_out_and_the_rest_is_as_it_was() -> None:
    fields = [(b"A", b"b"), (b"X", b"<" + KEY + KEY + b">"), (b"x-" + KEY, b"1"), (b"a", b"c")]
    assert masked([KEY], fields) == ((b"A", b"b"), (b"X", b"<" + MASKED * 2 + b">"), (b"a", b"c"))
    assert mask([b"Bearer " + KEY, KEY], b"Bearer " + KEY + b" " + KEY) == MASKED + b" " + MASKED


def test_a_value_that_holds_one_percent_encoded_is_masked_whole() -> None:
    token = b"abc+/def=="
    assert mask([token], b"https://h/?k=abc%2B%2fdef%3D%3D&x=%20") == MASKED
    assert mask([KEY], b"https://h/?k=" + ENCODED) == MASKED
    assert mask([token], b"https://h/?x=%20&" + token) == b"https://h/?x=%20&" + MASKED
    assert mask([token], b"100 % of %zz") == b"100 % of %zz"


def test_nothing_of_it_stands_in_what_a_refusal_tells() -> None:
    error = UpstreamError(f"bad {KEY.decode()}", cause="server", hint=KEY.decode(), detail=f"x{KEY.decode()}")
    error.kept = ((b"retry-after", KEY),)
    told = hide([KEY], error)
    assert isinstance(told, UpstreamError)
    assert KEY.decode() not in f"{told} {told.sentence} {told.message} {told.hint} {told.detail} {told.kept}"
    assert told.message == f"bad {MASKED.decode()}"


@pytest.mark.parametrize("length", [8, len(KEY) - 1])
def test_nor_its_beginning_where_a_sentence_was_cut(length: int) -> None:
    assert hide([KEY], BrokenAnswer(f"bad {KEY[:length].decode()}")).message == f"bad {MASKED.decode()}"
    assert hide([KEY], BrokenAnswer(f"bad {KEY[:7].decode()}")).message == f"bad {KEY[:7].decode()}"
