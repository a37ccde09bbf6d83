"""Whole answers: short ones, long ones of which the end is kept, and what tries to be counted and is not."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import pytest

from llmauth.usage.bodies import END, KEPT, Growing, Sums, Whole
from llmauth.usage.formats import CONVERSE, GEMINI, GEMINI_ARRAY, MESSAGES, OPENAI, ORACLE, WATSONX, Format
from llmauth.usage.meter import Meter, Reading, Reason
from tests.llmauth.usage.answers import read, splits, tokens

USAGE = {"prompt_tokens": 5, "completion_tokens": 7}
FAKE = {"usage": {"prompt_tokens": 0, "completion_tokens": 0, "input_tokens": 0, "output_tokens": 0}}
FILLING = "x" * 6000
LONG = "x" * (KEPT + 100)


def body(value: Any, **how: Any) -> bytes:
    return json.dumps(value, **how).encode()


def whole(data: bytes, format_: Format = OPENAI, size: int = 4096, *, cut: bool = False) -> Reading:
    return read(Whole(format_), [data[i : i + size] for i in range(0, len(data), size)], cut=cut)


@pytest.mark.parametrize("text", ["short", FILLING, LONG])
@pytest.mark.parametrize("how", [{}, {"indent": 2}, {"separators": (",", ":")}])
def test_an_answer_of_any_length(text: str, how: dict[str, Any]) -> None:
    after = {"service_tier": "default", "metadata": {"usage": {"prompt_tokens": 0}}}
    data = body({"choices": [{"message": {"content": text}}], "usage": USAGE, **after}, **how)
    assert whole(data) == Reading(tokens(5, 7), None)


@pytest.mark.parametrize("text", ["short", FILLING, LONG])
def test_other_formats_of_any_length(text: str) -> None:
    claude = body({"content": [{"text": text}], "usage": {"input_tokens": 3, "output_tokens": 4}, "container": None})
    assert whole(claude, MESSAGES) == Reading(tokens(3, 4), None)
    gemini = body({"candidates": [text], "usageMetadata": {"promptTokenCount": 3}, "modelVersion": "a"})
    assert whole(gemini, GEMINI) == Reading(tokens(3, 0), None)
    oracle = body({"modelId": "a", "chatResponse": {"text": text, "usage": {"promptTokens": 3, "completionTokens": 4}}})
    assert whole(oracle, ORACLE) == Reading(tokens(3, 4), None)
    converse = body({"output": {"text": text}, "usage": {"inputTokens": 3, "outputTokens": 4}})
    assert whole(converse, CONVERSE) == Reading(tokens(3, 4), None)
    watsonx = body({"results": [{"embedding": [text]}], "input_token_count": 9})
    assert whole(watsonx, WATSONX) == Reading(tokens(9, 0), None)


def test_thinking_that_is_told_before_the_end_is_read_where_the_answer_is_kept() -> None:
    own = {"usage": {"output_tokens_details": {"thinking_tokens": 2}}}
    usage = {"inputTokens": 3, "outputTokens": 4}
    data = body({"additionalModelResponseFields": own, "output": {"text": FILLING}, "usage": usage})
    assert whole(data, CONVERSE) == Reading(tokens(3, 4, reasoning=2), None)


@pytest.mark.parametrize("text", ["short", FILLING, LONG])
def test_what_a_model_says_is_never_taken_for_a_count(text: str) -> None:
    """A caller that has the model say or call something must not be able to count less than it took."""
    said = [body(FAKE).decode(), body(body(FAKE).decode()).decode(), '"' + body(FAKE).decode() + "}"]
    content = [{"type": "text", "text": text + one} for one in said]
    calls = [{"type": "tool_use", "input": value} for value in (FAKE, [FAKE], {"a": [FAKE]}, {"usage": FAKE})]
    real = {"input_tokens": 3, "output_tokens": 4}
    assert whole(body({"content": content + calls, "usage": real}), MESSAGES) == Reading(tokens(3, 4), None)
    assert whole(body({"content": content + calls}), MESSAGES).usage is None


def test_a_tool_that_is_called_with_a_thousand_counts_costs_little() -> None:
    deep = b'{"usage":{"a":1},"x":[' * 900 + b"1" + b"]}" * 900
    long = b'{"content":["' + LONG.encode() + b'",' + deep + b"]}"
    array = b'[{"content":[' + deep.replace(b"usage", b"usageMetadata") + b"]}]"
    began = time.process_time()
    for _ in range(5):
        assert whole(long, MESSAGES) == Reading(None, Reason.TOO_LARGE)
        assert read(Growing(GEMINI_ARRAY), [array]) == Reading(None, Reason.NOT_TOLD)
    assert time.process_time() - began < 0.2  # a try at each of them would take two seconds


def test_a_long_answer_that_tells_before_its_end_is_too_large() -> None:
    assert whole(body({"usage": USAGE, "data": LONG})) == Reading(None, Reason.TOO_LARGE)
    assert whole(body({"usage": USAGE, "data": FILLING})) == Reading(tokens(5, 7), None)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", Reason.NOT_TOLD),
        (b'{"choices": []}', Reason.NOT_TOLD),
        (b'{"usage": {"prompt_tokens": 5}', Reason.BROKEN),
        (b"[1]", Reason.BROKEN),
        (b"<html>", Reason.BROKEN),
        (b"\xff\xfe" * 50, Reason.BROKEN),
        (b"[" * 200_000, Reason.BROKEN),
    ],
)
def test_why_nothing_was_read(data: bytes, reason: Reason) -> None:
    assert whole(data) == Reading(None, reason)
    assert whole(data, cut=True) == Reading(None, Reason.CUT)


def kept(meter: Any) -> int:
    """Bytes that a meter holds."""
    held = (getattr(meter, name) for name in meter.__slots__)
    lists = (one if isinstance(one, list) else [one] for one in held)
    return sum(sys.getsizeof(one) for many in lists for one in many if isinstance(one, bytes | bytearray))


@pytest.mark.parametrize("meter", [Whole(OPENAI), Growing(GEMINI_ARRAY), Sums()])
def test_what_is_kept_is_bounded(meter: Meter) -> None:
    for _ in range(200):
        meter.feed(b'{"usage":{"usageMetadata":{"token_count":' + b"1" * 40_000)
        assert kept(meter) < KEPT + 50_000
    assert meter.reading(cut=True).usage is None


ELEMENTS = [
    {
        "candidates": [
            {"content": {"parts": [{"functionCall": {"args": {"usageMetadata": {"promptTokenCount": 0}}}}]}}
        ],
        "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": said},
        "modelVersion": "gemini",
    }
    for said in range(1, 6)
]


def grown(elements: list[Any]) -> bytes:
    return b"[" + b"\n,\r\n".join(body(element, indent=2) for element in elements) + b"\n]"


def test_an_array_tells_more_and_more() -> None:
    data = grown(ELEMENTS)
    for pieces in splits(data):
        assert read(Growing(GEMINI_ARRAY), pieces) == Reading(tokens(9, 5), None)
    for count in range(1, 5):
        begun = grown(ELEMENTS[:count])[:-2]
        for rest in (b"", b"\n", b"\n,\r\n", b',\n{"candidates": [{"con', b',{"usageMetadata":{"promptTokenCount": 1'):
            assert read(Growing(GEMINI_ARRAY), [begun, rest], cut=True) == Reading(tokens(9, count), Reason.CUT)
    assert read(Growing(GEMINI_ARRAY), [b'[{"error": {"code": 503}}\n]']) == Reading(None, Reason.NOT_TOLD)
    assert read(Growing(GEMINI_ARRAY), [b'[{"cand'], cut=True) == Reading(None, Reason.CUT)


def test_a_long_array_is_read_by_its_end() -> None:
    picture = {"candidates": [{"content": {"parts": [{"inlineData": {"data": "A" * (3 * END)}}]}}]}
    data = grown([{**picture, "usageMetadata": ELEMENTS[3]["usageMetadata"]}])
    assert read(Growing(GEMINI_ARRAY), [data[i : i + 5000] for i in range(0, len(data), 5000)]) == Reading(
        tokens(9, 4), None
    )


def test_numbers_are_added_up_however_they_come() -> None:
    one = {"embeddings": {"values": [0.5] * 9, "statistics": {"truncated": False, "token_count": 12}}}
    data = body({"predictions": [one] * 20})
    for pieces in splits(data):
        assert read(Sums(), pieces) == Reading(tokens(240, 0), None)
    assert read(Sums(), [body({"predictions": [{"bytesBase64Encoded": "AA"}]})]) == Reading(None, Reason.NOT_TOLD)
    assert read(Sums(), [data[: len(data) // 2]], cut=True).lacks is Reason.CUT
    assert read(Sums(), [rb'{"predictions":[{"text":"\"token_count\":5,"}]}']) == Reading(None, Reason.NOT_TOLD)
