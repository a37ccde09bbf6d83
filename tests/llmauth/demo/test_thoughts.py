"""Signatures of thoughts: one's own are known again, and nothing else is."""

from __future__ import annotations

from typing import Any

import pytest

from llmauth.demo.thoughts import of_call, sign, verifies


@pytest.mark.parametrize("thought", ["", "hm", "日本 🙂"])
@pytest.mark.parametrize("salt", [b"", b"\xfb\xff?"])
def test_a_signature_is_known_again(thought: str, salt: bytes) -> None:
    signature = sign(thought, salt)
    assert verifies(thought, signature)
    assert verifies(thought, signature.replace("+", "-").replace("/", "_"))  # as some clients write bytes
    assert not verifies(thought + " ", signature)


def test_two_salts_make_two_signatures() -> None:
    assert sign("hm", b"a") != sign("hm", b"b")


@pytest.mark.parametrize(
    "signature",
    [None, 7, "", "c2ln", "no base64!", sign("hm")[:-8], "A" + sign("hm"), "é"],
    ids=["none", "a number", "empty", "another", "no base64", "cut", "longer", "not ASCII"],
)
def test_what_is_none_of_ours_is_refused(signature: Any) -> None:
    assert not verifies("hm", signature)


def test_a_call_is_signed_whatever_the_order_of_its_arguments() -> None:
    assert of_call("f", {"a": 1, "b": {"c": 2, "d": 3}}) == of_call("f", {"b": {"d": 3, "c": 2}, "a": 1})
    assert of_call("f", {"a": 1}) != of_call("g", {"a": 1}) != of_call("g", {"a": 2})
