"""Events gathered into the answer that they are."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmauth.chat.collecting import Collector, collect
from llmauth.chat.events import (
    ArgumentsDelta,
    CallStarted,
    Cited,
    Event,
    Failed,
    Finished,
    LogprobsDelta,
    RedactedThinking,
    RefusalDelta,
    Started,
    TextDelta,
    TextSigned,
    ThinkingDelta,
    ThinkingSigned,
    UsageTold,
)
from llmauth.chat.messages import (
    ChatResponse,
    Choice,
    Citation,
    Finish,
    Redacted,
    Refusal,
    Signature,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from llmauth.errors import BrokenAnswer

SIGNED = Signature("anthropic", "s")
SOURCE = Citation("https://example.com")


def parts(*events):
    [choice] = collect(events).choices
    return choice.parts


def test_a_whole_answer():
    events: list[Event] = [
        Started("id", "model"),
        ThinkingDelta("H"),
        ThinkingDelta("m."),
        ThinkingSigned(SIGNED),
        TextDelta("Hel"),
        TextDelta("lo"),
        CallStarted(0, "c", "look"),
        ArgumentsDelta(0, '{"a"'),
        UsageTold(Usage(input=1)),
        ArgumentsDelta(0, ":1}"),
        Finished(Finish.STOP_SEQUENCE, "END"),
        UsageTold(Usage(input=2, output=3)),
    ]
    told = (Thinking("Hm.", SIGNED), Text("Hello"), ToolCall("c", "look", '{"a":1}'))
    assert collect(events) == ChatResponse(
        id="id",
        model="model",
        choices=(Choice(parts=told, finish=Finish.STOP_SEQUENCE, stop_sequence="END"),),
        usage=Usage(input=2, output=3),
    )


@pytest.mark.parametrize(
    ("events", "told"),
    [
        ([TextDelta("a"), ThinkingDelta("b"), TextDelta("c")], (Text("a"), Thinking("b"), Text("c"))),
        ([ThinkingDelta("a"), ThinkingSigned(SIGNED), ThinkingDelta("b")], (Thinking("a", SIGNED), Thinking("b"))),
        ([ThinkingSigned(SIGNED), ThinkingSigned(SIGNED)], (Thinking("", SIGNED), Thinking("", SIGNED))),
        ([TextDelta("a"), ThinkingSigned(SIGNED)], (Text("a"), Thinking("", SIGNED))),
        ([RedactedThinking(SIGNED), TextDelta("a")], (Redacted(SIGNED), Text("a"))),
        ([RefusalDelta("N"), RefusalDelta("o."), TextDelta("a")], (Refusal("No."), Text("a"))),
        ([TextDelta("a"), TextSigned(SIGNED), TextDelta("b")], (Text("ab", signature=SIGNED),)),
        ([TextSigned(SIGNED)], (Text("", signature=SIGNED),)),
        ([TextDelta("a"), Cited(SOURCE), TextDelta("b"), Cited(SOURCE)], (Text("ab", citations=(SOURCE, SOURCE)),)),
        ([ThinkingDelta("a"), Cited(SOURCE)], (Thinking("a"),)),
        (
            [
                CallStarted(0, "c", "x"),
                CallStarted(1, "d", "y", SIGNED),
                ArgumentsDelta(0, "{}"),
                ArgumentsDelta(1, "1"),
            ],
            (ToolCall("c", "x", "{}"), ToolCall("d", "y", "1", SIGNED)),
        ),
        ([TextDelta("a"), CallStarted(0, "c", "x"), TextDelta("b")], (Text("a"), ToolCall("c", "x", ""), Text("b"))),
    ],
    ids=range(12),
)
def test_parts(events, told):
    assert parts(*events) == told


def test_choices_are_kept_apart_and_in_order():
    events: list[Event] = [TextDelta("b", 1), TextDelta("a", 0), TextDelta("B", 1), Finished(Finish.LENGTH, choice=1)]
    told = [(choice.index, choice.parts[0].text, choice.finish) for choice in collect(events).choices]
    assert told == [(0, "a", Finish.STOP), (1, "bB", Finish.LENGTH)]


def test_log_probabilities():
    [choice] = collect([LogprobsDelta(({"token": "a"},)), LogprobsDelta(({"token": "b"},)), TextDelta("ab")]).choices
    assert choice.logprobs == {"content": [{"token": "a"}, {"token": "b"}]}


def test_a_failure_and_what_came_before_it():
    collector = Collector()
    failed = Failed(BrokenAnswer("m"))
    for event in (Started("id"), TextDelta("a"), failed):
        collector.take(event)
    assert collector.failed is failed
    assert collector.response().choices[0].parts == (Text("a"),)


def test_the_answer_may_be_looked_at_while_it_comes():
    collector = Collector()
    seen = []
    for event in (
        TextDelta("a"),
        TextDelta("b"),
        CallStarted(0, "c", "x"),
        ArgumentsDelta(0, "{"),
        ArgumentsDelta(0, "}"),
    ):
        collector.take(event)
        seen.append(collector.response().choices[0].parts)
    assert seen[1] == (Text("ab"),)
    assert seen[3] == (Text("ab"), ToolCall("c", "x", "{"))
    assert seen[4] == (Text("ab"), ToolCall("c", "x", "{}"))


def test_nothing_is_no_choice():
    assert collect([]) == ChatResponse(id="", model="", choices=())


@pytest.mark.parametrize(
    "events",
    [
        [TextDelta("word ")] * 200_000,
        [CallStarted(0, "c", "x"), *[ArgumentsDelta(0, "word ")] * 200_000],
        [CallStarted(n, "c", "x") for n in range(50_000)],
    ],
    ids=["words", "arguments", "calls"],
)
def test_a_long_answer_does_not_cost_the_square_of_its_length(events):
    started = time.process_time()
    collect(events)
    assert time.process_time() - started < 3


DELTAS = st.one_of(
    st.builds(TextDelta, st.text(max_size=3)),
    st.builds(ThinkingDelta, st.text(max_size=3)),
    st.builds(RefusalDelta, st.text(max_size=3)),
    st.just(ThinkingSigned(SIGNED)),
    st.just(RedactedThinking(SIGNED)),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(DELTAS, max_size=12))
def test_no_word_is_lost_and_none_is_added(events):
    response = collect(events)
    told = [part for choice in response.choices for part in choice.parts]
    assert "".join(getattr(part, "text", "") for part in told) == "".join(getattr(e, "text", "") for e in events)
    assert sum(isinstance(part, Redacted) for part in told) == sum(isinstance(e, RedactedThinking) for e in events)
