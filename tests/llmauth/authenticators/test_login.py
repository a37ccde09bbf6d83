"""What a body of a login may be: an object of two texts, and nothing else."""

from __future__ import annotations

import json

import pytest

from llmauth.authenticators.base import Slot
from llmauth.authenticators.login import Asked, read
from llmauth.errors import BadRequest

SOURCE = "192.0.2.7"


def test_key_and_code() -> None:
    asked = read(b'{"api_key": "llmauth_x", "totp_code": "123456"}', SOURCE)
    (form,) = asked.form
    assert (form.slot, form.value, form.source, form.user) == (Slot.FORM, "llmauth_x", SOURCE, "")
    assert asked.code == "123456"


@pytest.mark.parametrize("body", [b"", b" \r\n\t", b"{}"])
def test_what_stands_in_the_head_needs_no_body(body: bytes) -> None:
    assert read(body, SOURCE) == Asked(form=(), code=None)


def test_either_may_be_in_the_head() -> None:
    assert read(b'{"totp_code": "abcd-efgh"}', SOURCE) == Asked(form=(), code="abcd-efgh")
    assert read(b'{"api_key": "k"}', SOURCE).code is None


def test_nothing_of_a_value_is_changed() -> None:
    asked = read(json.dumps({"api_key": " k ", "totp_code": " 1\n"}).encode(), SOURCE)
    assert (asked.form[0].value, asked.code) == (" k ", " 1\n")


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"null",
        b'"llmauth_x"',
        b"api_key=llmauth_x",
        b'{"api_key": "a", "api_key": "b"}',
        b'{"api_key": null}',
        b'{"api_key": 1}',
        b'{"totp_code": 123456}',
        b'{"api_key": ["a"]}',
        b'{"api_key": "a", "user": "root"}',
        b'{"API_KEY": "a"}',
        b'{"api_key": "a"',
        b'{"api_key": "a"} {}',
        b'\xef\xbb\xbf{"api_key": "a"}',
        b'{"api_key": "\xff"}',
        b"[" * 2000,
        b'{"api_key": NaN}',
    ],
)
def test_everything_else_is_a_400_that_shows_what_is_wanted(body: bytes) -> None:
    with pytest.raises(BadRequest) as error:
        read(body, SOURCE)
    assert (error.value.status, error.value.close) == (400, True)
    assert '"totp_code"' in error.value.hint


def test_neither_key_nor_code_is_shown() -> None:
    asked = read(b'{"api_key": "llmauth_canary", "totp_code": "314159"}', SOURCE)
    assert "canary" not in repr(asked)
    assert "314159" not in repr(asked)
    with pytest.raises(BadRequest) as error:
        read(b'{"api_key": "llmauth_canary", "other": "314159"}', SOURCE)
    assert "canary" not in error.value.sentence + error.value.detail + repr(error.value)
