"""How Oracle's answers end, and what they cost."""

import pytest

from llmauth.chat.messages import Finish, Refusal, Text, ToolCall, Usage
from llmauth.codecs.oracle.answers import call_id, finish, finish_of, usage, usage_of
from llmauth.codecs.reading import Malformed, Node
from llmauth.errors import UpstreamError


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("stop", Finish.STOP),
        ("COMPLETE", Finish.STOP),
        ("", Finish.STOP),
        ("SOMETHING_NEW", Finish.STOP),
        ("STOP_SEQUENCE", Finish.STOP_SEQUENCE),
        ("length", Finish.LENGTH),
        ("MAX_TOKENS", Finish.LENGTH),
        ("tool_calls", Finish.TOOL_CALLS),
        ("TOOL_CALL", Finish.TOOL_CALLS),
        ("ERROR_TOXIC", Finish.CONTENT_FILTER),
        ("content_filter", Finish.CONTENT_FILTER),
    ],
)
def test_reasons_in_either_case(reason, expected):
    for written in (reason, reason.lower(), reason.upper()):
        assert finish(written, calls=False) is expected


def test_parts_tell_what_a_stop_means():
    assert finish_of("COMPLETE", [ToolCall("c", "f", "")]) is Finish.TOOL_CALLS
    assert finish_of("stop", [Refusal("No.")]) is Finish.REFUSAL
    assert finish_of("length", [ToolCall("c", "f", "")]) is Finish.LENGTH
    assert finish_of("stop", [Text("Hi")]) is Finish.STOP


@pytest.mark.parametrize("reason", ["ERROR", "error_limit", "USER_CANCEL"])
def test_failures_are_failures(reason):
    with pytest.raises(UpstreamError, match="ended its answer with") as caught:
        finish(reason, calls=False)
    assert caught.value.status == 500


def test_cached_tokens_are_counted_once():
    told = {"promptTokens": 10, "promptTokensDetails": {"cachedTokens": 20}, "completionTokens": 3}
    assert usage(Node(told)) == Usage(cache_read=10, output=3)
    assert usage_of(Node({"usage": None})) is None
    with pytest.raises(Malformed):
        usage(Node({"promptTokens": -1}))


def test_an_id_is_the_same_for_the_same_call_at_the_same_place_only():
    assert call_id(0, "f", "{}") == call_id(0, "f", "{}")
    assert len({call_id(0, "f", "{}"), call_id(1, "f", "{}"), call_id(0, "g", "{}"), call_id(0, "f", "[]")}) == 4
    assert call_id(0, "\ud800", "").startswith("call_")
