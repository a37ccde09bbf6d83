"""Items of the output, and what a provider may tell of tokens."""

import math

import pytest

from llmauth.chat.messages import Citation, Finish
from llmauth.codecs.responses import output


@pytest.mark.parametrize(
    ("finish", "expected"),
    [
        (Finish.STOP, None),
        (Finish.STOP_SEQUENCE, None),
        (Finish.TOOL_CALLS, None),
        (Finish.PAUSE, None),
        (Finish.MALFORMED, None),
        (Finish.LENGTH, "max_output_tokens"),
        (Finish.CONTEXT_LENGTH, "max_output_tokens"),
        (Finish.CONTENT_FILTER, "content_filter"),
        (Finish.REFUSAL, "content_filter"),
    ],
)
def test_why_an_answer_is_incomplete(finish, expected):
    assert output.reason(finish, refused=False) == expected


def test_a_refusal_in_the_model_s_words_is_a_whole_answer():
    assert output.reason(Finish.REFUSAL, refused=True) is None
    assert output.reason(Finish.CONTENT_FILTER, refused=True) == "content_filter"


@pytest.mark.parametrize(("arguments", "written"), [("", "{}"), ("  ", "{}"), ('{"a":1}', '{"a":1}')])
def test_no_arguments_are_an_empty_object(arguments, written):
    assert output.call("fc_1", "completed", "c", "f", arguments)["arguments"] == written


def test_a_call_that_was_cut_off_is_not_made_whole():
    assert output.call("fc_1", "incomplete", "c", "f", "")["arguments"] == ""


def test_a_source_of_no_place_is_for_the_whole_text():
    assert output.annotation(Citation("u", "t"), 9) == {
        "type": "url_citation",
        "url": "u",
        "title": "t",
        "start_index": 0,
        "end_index": 9,
    }
    assert output.annotation(Citation("u", "t", 2, 4), 9)["end_index"] == 4


def test_log_probabilities_in_full():
    entry = {
        "token": "hé",
        "logprob": -0.5,
        "bytes": None,
        "top_logprobs": [{"token": "a", "logprob": -1, "bytes": [97]}],
    }
    (found,) = output.logprobs([entry])
    assert found == {
        "token": "hé",
        "bytes": [104, 195, 169],
        "logprob": -0.5,
        "top_logprobs": [{"token": "a", "bytes": [97], "logprob": -1}],
    }
    assert output.without_bytes([found]) == [
        {"token": "hé", "logprob": -0.5, "top_logprobs": [{"token": "a", "logprob": -1}]}
    ]


@pytest.mark.parametrize(
    "entry",
    [None, 5, "a", [], {}, {"token": "a"}, {"token": 5, "logprob": 1}, {"token": "a", "logprob": "high"}],
)
def test_what_is_no_log_probability_is_left_out(entry):
    assert output.logprobs([entry]) == []


@pytest.mark.parametrize("logprob", [math.inf, -math.inf, math.nan])
def test_infinity_is_no_json(logprob):
    assert output.logprobs([{"token": "a", "logprob": logprob}])[0]["logprob"] == -9999.0


def test_huge_and_odd_members_of_log_probabilities():
    entry = {"token": "\ud800", "logprob": 10**400, "bytes": ["a"], "top_logprobs": {"a": 1}}
    assert output.logprobs([entry]) == [{"token": "\ud800", "bytes": [63], "logprob": 10**400, "top_logprobs": []}]
