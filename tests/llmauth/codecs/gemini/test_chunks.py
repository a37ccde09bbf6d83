"""What each member of an answer becomes."""

import pytest

from llmauth.chat.events import (
    ArgumentsDelta,
    CallStarted,
    Cited,
    Finished,
    LogprobsDelta,
    Started,
    TextDelta,
    TextSigned,
    ThinkingDelta,
    ThinkingSigned,
    UsageTold,
)
from llmauth.chat.messages import Citation, Finish, Signature, Usage
from llmauth.codecs.gemini.chunks import FINISHES, Chunks
from llmauth.codecs.reading import Malformed

SIGNATURE = Signature("gemini", "c2ln")


def taken(*parts, **more):
    """The events of one chunk, without the start."""
    return Chunks().take({"candidates": [{"content": {"parts": list(parts)}, **more}]})[1:]


def ended(reason, *parts):
    chunks = Chunks()
    chunks.take({"candidates": [{"content": {"parts": list(parts)}, "finishReason": reason}]})
    events = chunks.end(whole=False)
    assert events is not None
    (finished,) = events
    return finished


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("STOP", Finish.STOP),
        ("MAX_TOKENS", Finish.LENGTH),
        ("SAFETY", Finish.CONTENT_FILTER),
        ("RECITATION", Finish.CONTENT_FILTER),
        ("LANGUAGE", Finish.CONTENT_FILTER),
        ("OTHER", Finish.MALFORMED),
        ("BLOCKLIST", Finish.CONTENT_FILTER),
        ("PROHIBITED_CONTENT", Finish.CONTENT_FILTER),
        ("SPII", Finish.CONTENT_FILTER),
        ("MALFORMED_FUNCTION_CALL", Finish.MALFORMED),
        ("IMAGE_SAFETY", Finish.CONTENT_FILTER),
        ("IMAGE_PROHIBITED_CONTENT", Finish.CONTENT_FILTER),
        ("IMAGE_OTHER", Finish.CONTENT_FILTER),
        ("NO_IMAGE", Finish.MALFORMED),
        ("IMAGE_RECITATION", Finish.CONTENT_FILTER),
        ("UNEXPECTED_TOOL_CALL", Finish.MALFORMED),
        ("TOO_MANY_TOOL_CALLS", Finish.MALFORMED),
        ("MISSING_THOUGHT_SIGNATURE", Finish.MALFORMED),
        ("MALFORMED_RESPONSE", Finish.MALFORMED),
        ("ESCALATION", Finish.MALFORMED),
        ("PUP_LIMITED_DISABLED", Finish.MALFORMED),
        ("CONTINUATION", Finish.PAUSE),
        ("MODEL_ARMOR", Finish.CONTENT_FILTER),
        ("FINISH_REASON_UNSPECIFIED", Finish.STOP),
        ("A_REASON_OF_NEXT_YEAR", Finish.MALFORMED),
    ],
)
def test_finish_reasons(reason, finish):
    assert ended(reason, {"text": "a"}) == Finished(finish)
    assert reason in FINISHES or reason.startswith("A_")


def test_a_call_ends_with_stop_too():
    call = {"functionCall": {"name": "f"}}
    assert ended("STOP", call).finish is Finish.TOOL_CALLS
    assert ended("MAX_TOKENS", call).finish is Finish.LENGTH
    assert ended("UNEXPECTED_TOOL_CALL", call).finish is Finish.MALFORMED


def test_signatures_stay_with_their_parts():
    assert taken({"text": "t", "thoughtSignature": "c2ln"}) == [TextDelta("t"), TextSigned(SIGNATURE)]
    assert taken({"text": "", "thoughtSignature": "c2ln"}) == [TextSigned(SIGNATURE)]
    assert taken({"thoughtSignature": "c2ln"}) == [TextSigned(SIGNATURE)]
    thought = {"text": "t", "thought": True, "thoughtSignature": "c2ln"}
    assert taken(thought) == [ThinkingDelta("t"), ThinkingSigned(SIGNATURE)]
    call = {"functionCall": {"id": "i", "name": "f", "args": {"a": "é"}}, "thoughtSignature": "c2ln"}
    assert taken(call) == [CallStarted(0, "i", "f", SIGNATURE), ArgumentsDelta(0, '{"a":"é"}')]


def test_parts_that_nobody_asked_for_are_left_out():
    picture = {"inlineData": {"mimeType": "image/png", "data": "aGk="}, "thoughtSignature": "c2ln"}
    assert taken(picture, {"executableCode": {"code": "1"}}, {"codeExecutionResult": {}}, {"new": 1}, {}) == []


def test_half_a_character_in_arguments_is_escaped():
    events = taken({"functionCall": {"id": "i", "name": "f", "args": {"a": "é\ud800"}}})
    assert events[1] == ArgumentsDelta(0, '{"a":"\\u00e9\\ud800"}')


def test_ids_that_are_missing_are_made_up_alike_each_time_and_differ_in_each_answer():
    def ids(response_id):
        call = {"functionCall": {"name": "f", "args": {"a": 1}}}
        body = {"candidates": [{"content": {"parts": [call, call]}}], "responseId": response_id}
        return [event.id for event in Chunks().take(body) if isinstance(event, CallStarted)]

    assert ids("r1") == ids("r1")
    assert len({*ids("r1"), *ids("r2")}) == 4
    assert all(len(each) == 29 and each.startswith("call_") for each in ids("r1"))


def test_calls_are_numbered_within_their_choice():
    call = {"functionCall": {"id": "i", "name": "f"}}
    candidates = [{"index": index, "content": {"parts": [call, call]}} for index in (0, 1)]
    events = [event for event in Chunks().take({"candidates": candidates}) if isinstance(event, CallStarted)]
    assert [(event.choice, event.call) for event in events] == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_arguments_in_pieces_are_one_call():
    chunks = Chunks()
    pieces = [
        {"functionCall": {"name": "f", "willContinue": True}, "thoughtSignature": "c2ln"},
        {
            "functionCall": {
                "partialArgs": [{"jsonPath": "$.city", "stringValue": "Pa", "willContinue": True}],
                "willContinue": True,
            }
        },
        {"functionCall": {"partialArgs": [{"jsonPath": "$.city", "stringValue": "ris"}], "willContinue": True}},
        {"functionCall": {}},
    ]
    found = [chunks.take({"candidates": [{"content": {"parts": [piece]}}]}) for piece in pieces]
    assert found[:3] == [[Started()], [], []]
    started, arguments = found[3]
    assert (started.name, started.signature) == ("f", SIGNATURE)
    assert arguments == ArgumentsDelta(0, '{"city":"Paris"}')


def test_a_call_in_pieces_that_never_ends_is_told_as_far_as_it_came():
    chunks = Chunks()
    call = {"id": "i", "name": "f", "willContinue": True, "partialArgs": [{"jsonPath": "$.a", "numberValue": 1}]}
    chunks.take({"candidates": [{"content": {"parts": [{"functionCall": call}]}, "finishReason": "MAX_TOKENS"}]})
    assert chunks.end(whole=False) == [
        CallStarted(0, "i", "f"),
        ArgumentsDelta(0, '{"a":1}'),
        Finished(Finish.LENGTH),
    ]


def test_a_piece_of_no_call_is_malformed():
    with pytest.raises(Malformed, match="name: is required"):
        taken({"functionCall": {"partialArgs": []}})


def test_usage_counts_nothing_twice():
    usage = {
        "promptTokenCount": 100,
        "cachedContentTokenCount": 60,
        "candidatesTokenCount": 10,
        "thoughtsTokenCount": 25,
        "toolUsePromptTokenCount": 7,
        "totalTokenCount": 142,
    }
    events = Chunks().take({"candidates": [{}], "usageMetadata": usage})
    assert events[1:] == [UsageTold(Usage(input=47, cache_read=60, output=35, reasoning=25))]
    assert events[1].usage.total == usage["totalTokenCount"]


def test_sources_and_probabilities():
    citation = {"uri": "https://e.com", "title": "E", "startIndex": 0, "endIndex": 1}
    chosen = {"token": "a", "logProbability": -0.5}
    events = taken(
        {"text": "ab"},
        citationMetadata={"citations": [citation, citation]},
        logprobsResult={"chosenCandidates": [chosen], "topCandidates": [{"candidates": [chosen]}]},
    )
    entry = {"token": "a", "logprob": -0.5, "bytes": [97]}
    assert events == [
        TextDelta("ab"),
        Cited(Citation("https://e.com", "E", 0, 1)),
        LogprobsDelta(({**entry, "top_logprobs": [entry]},)),
    ]
