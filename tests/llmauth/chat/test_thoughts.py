"""Signed thinking finds its way back to the calls that it led to; to nobody else's, and not for ever."""

import sys
import threading
from dataclasses import replace

import pytest

from llmauth.chat.messages import ChatRequest, Message, Redacted, Signature, Text, Thinking, ToolCall, ToolResult
from llmauth.chat.thoughts import Thoughts
from llmauth.clock import ManualClock

SIGNED = Thinking("Let me see.", Signature("anthropic", "c2ln"))
CALL = ToolCall("call_1", "look", "{}")
OTHER = ToolCall("call_2", "look", "{}")


def asked(*parts):
    return ChatRequest(
        model="m",
        messages=(
            Message("user", (Text("?"),)),
            Message("assistant", parts),
            Message("tool", (ToolResult("call_1", (Text("!"),)),)),
        ),
    )


def parts_of(request):
    return request.messages[1].parts


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def thoughts(clock):
    return Thoughts(clock)


def test_thinking_comes_back_before_what_was_said(thoughts):
    thoughts.keep("ada", (SIGNED, Text("Looking."), CALL))
    assert parts_of(thoughts.recall("ada", asked(Text("Looking."), CALL))) == (SIGNED, Text("Looking."), CALL)


def test_each_call_of_a_turn_leads_to_it(thoughts):
    thoughts.keep("ada", (SIGNED, CALL, OTHER))
    assert parts_of(thoughts.recall("ada", asked(OTHER))) == (SIGNED, OTHER)


def test_what_only_its_provider_can_read_comes_back_too(thoughts):
    redacted = Redacted(Signature("anthropic", "eA=="))
    thoughts.keep("ada", (redacted, CALL))
    assert parts_of(thoughts.recall("ada", asked(CALL))) == (redacted, CALL)


def test_a_signed_call_gets_its_signature_back(thoughts):
    signed = replace(CALL, signature=Signature("gemini", "Z2Vt"))
    thoughts.keep("ada", (signed, OTHER))
    assert parts_of(thoughts.recall("ada", asked(CALL, OTHER))) == (signed, OTHER)


def test_unsigned_words_give_way_to_the_signed_ones(thoughts):
    thoughts.keep("ada", (SIGNED, CALL))
    assert parts_of(thoughts.recall("ada", asked(Thinking("Let me see."), CALL))) == (SIGNED, CALL)


def test_what_the_client_kept_itself_is_left_as_it_is(thoughts):
    thoughts.keep("ada", (SIGNED, CALL))
    own = Thinking("Mine.", Signature("anthropic", "bWluZQ=="))
    request = asked(own, CALL)
    assert thoughts.recall("ada", request) == request


@pytest.mark.parametrize("parts", [(Text("Hi."),), (SIGNED, Text("Hi.")), (CALL,), (Thinking("unsigned"), CALL)])
def test_an_answer_that_nobody_asks_back_is_not_kept(thoughts, parts):
    thoughts.keep("ada", parts)
    request = asked(CALL)
    assert thoughts.recall("ada", request) is request


def test_another_caller_does_not_get_it(thoughts):
    thoughts.keep("ada", (SIGNED, CALL))
    request = asked(CALL)
    assert thoughts.recall("bob", request) == request


def test_it_ends(thoughts, clock):
    thoughts.keep("ada", (SIGNED, CALL))
    clock.advance(3601)
    assert parts_of(thoughts.recall("ada", asked(CALL))) == (CALL,)


def test_the_oldest_goes_when_there_is_no_more_room(clock):
    thoughts = Thoughts(clock, kept_bytes=3000)
    for number in range(10):
        call = replace(CALL, id=f"call_{number}")
        thoughts.keep("ada", (SIGNED, call))
    assert parts_of(thoughts.recall("ada", asked(replace(CALL, id="call_0")))) == (replace(CALL, id="call_0"),)
    assert SIGNED in parts_of(thoughts.recall("ada", asked(replace(CALL, id="call_9"))))


def test_one_that_is_larger_than_the_room_is_not_kept(clock):
    thoughts = Thoughts(clock, kept_bytes=1000)
    thoughts.keep("ada", (Thinking("x" * 2000, Signature("anthropic", "s")), CALL))
    assert parts_of(thoughts.recall("ada", asked(CALL))) == (CALL,)
    thoughts.keep("ada", (SIGNED, CALL))
    assert parts_of(thoughts.recall("ada", asked(CALL))) == (SIGNED, CALL)


def test_threads_may_ask_while_others_tell(clock):
    """Long requests are read in threads: what one forgets, another may just be looking at."""
    thoughts, over, faults = Thoughts(clock, kept_bytes=6_000), threading.Event(), []
    said = [replace(CALL, id=f"call_{number}") for number in range(40)]

    def asks():
        try:
            while not over.is_set():
                thoughts.recall("alice", asked(*said))
        except Exception as error:
            faults.append(error)

    readers = [threading.Thread(target=asks) for _ in range(3)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for reader in readers:
            reader.start()
        for number in range(4_000):
            thoughts.keep("alice", [SIGNED, said[number % len(said)]])
    finally:
        over.set()
        sys.setswitchinterval(before)
    for reader in readers:
        reader.join(10)
    assert faults == []
