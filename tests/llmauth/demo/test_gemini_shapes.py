"""Names in either case, and an order of turns."""

from __future__ import annotations

from typing import Any

import pytest

from llmauth.demo.gemini_shapes import camelled, generate
from llmauth.demo.shapes import Mismatch

CALL: dict[str, Any] = {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"my_arg": 1}}}]}
RESPONSE: dict[str, Any] = {
    "role": "user",
    "parts": [{"functionResponse": {"name": "f", "response": {"my_result": 1}}}],
}


def test_members_are_named_in_camel_case_and_the_callers_own_are_left() -> None:
    given = {"tool_config": {"a_b": [{"c_d_e": 1}]}, "labels": {"my_label": "x"}, "args": {"my_arg": {"b_c": 1}}}
    assert camelled(given) == {
        "toolConfig": {"aB": [{"cDE": 1}]},
        "labels": {"my_label": "x"},
        "args": {"my_arg": {"b_c": 1}},
    }


@pytest.mark.parametrize("contents", [[CALL, RESPONSE], [CALL, RESPONSE, CALL]])
def test_answers_follow_their_calls(contents: list[dict[str, Any]]) -> None:
    assert generate({"contents": contents})["contents"] == contents


@pytest.mark.parametrize("contents", [[RESPONSE], [CALL, {**RESPONSE, "parts": RESPONSE["parts"] * 2}]])
def test_and_nothing_else(contents: list[dict[str, Any]]) -> None:
    with pytest.raises(Mismatch, match="function responses"):
        generate({"contents": contents})
