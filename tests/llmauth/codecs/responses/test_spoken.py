"""Items while they come into being, event by event."""

from llmauth.codecs.responses.spoken import Call, Message, Reasoning
from llmauth.codecs.responses.writing import Writer
from tests.golden.responses import golden


def kinds(data):
    return [event["type"].removeprefix("response.") for event in golden.parsed(data)]


def test_a_message():
    message = Message(Writer(), "a", 0)
    assert kinds(message.begin()) == ["output_item.added"]
    assert kinds(message.say("x")) == ["content_part.added", "output_text.delta"]
    assert kinds(message.say("y")) == ["output_text.delta"]
    assert kinds(message.refuse("z")) == [
        "output_text.done",
        "content_part.done",
        "content_part.added",
        "refusal.delta",
    ]
    assert message.told is None
    assert kinds(message.end("completed")) == ["refusal.done", "content_part.done", "output_item.done"]
    assert message.told is not None
    assert [part.get("text") or part["refusal"] for part in message.told["content"]] == ["xy", "z"]


def test_thinking_that_nobody_may_read_has_no_part():
    reasoning = Reasoning(Writer(), "a", 0)
    reasoning.encrypted = "sealed"
    assert kinds(reasoning.begin() + reasoning.end("completed")) == ["output_item.added", "output_item.done"]
    assert reasoning.told == {"id": "rs_a_0", "type": "reasoning", "summary": [], "encrypted_content": "sealed"}


def test_deltas_of_a_call_without_arguments_add_up_to_an_object():
    call = Call(Writer(), "a", 0, "c", "f")
    added, delta, done, _ = golden.parsed(call.begin() + call.end("completed"))
    assert (added["item"]["arguments"], delta["delta"], done["arguments"]) == ("", "{}", "{}")


def test_nothing_is_added_to_a_call_that_was_cut_off():
    call = Call(Writer(), "a", 0, "c", "f")
    assert kinds(call.begin() + call.end("incomplete")) == [
        "output_item.added",
        "function_call_arguments.done",
        "output_item.done",
    ]
