"""Turns rearranged: nothing is lost, roles alternate, results come first."""

import time
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from llmauth.chat.messages import Image, Link, Message, Text, ToolCall, ToolResult
from llmauth.chat.turns import folded, joined, leading, merged
from tests.golden.cases import assistant, user

SYSTEM, DEVELOPER = Message("system", (Text("s"),)), Message("developer", (Text("d"), Text("e")))
RESULTS = Message("tool", (ToolResult("1", ()), ToolResult("2", ())))


def test_what_leads():
    texts, rest = leading([SYSTEM, DEVELOPER, user("a"), SYSTEM])
    assert texts == (Text("s"), Text("d"), Text("e"))
    assert rest == (user("a"), SYSTEM)
    assert leading([user("a")]) == ((), (user("a"),))
    assert leading([SYSTEM]) == ((Text("s"),), ())
    assert leading([]) == ((), ())


def test_what_comes_later_is_marked():
    assert folded([user("a"), DEVELOPER, assistant("b")]) == (
        user("a"),
        user("<system>\nd\n</system>", "<system>\ne\n</system>"),
        assistant("b"),
    )


def test_neighbours_of_one_role_are_one():
    assert merged([user("a"), user("b"), assistant("c"), assistant("d")]) == (user("a", "b"), assistant("c", "d"))
    assert merged([]) == ()


def test_results_are_the_users_and_come_first():
    call = assistant(ToolCall("1", "x", "{}"), ToolCall("2", "x", "{}"))
    picture = Image(Link("https://example.com"))
    assert merged([call, user("wait", picture), RESULTS, user("and?")]) == (
        call,
        user(*RESULTS.parts, "wait", picture, "and?"),
    )


ROLES = st.sampled_from(["user", "assistant", "tool"])
PARTS = st.builds(Text, st.text(max_size=2)) | st.builds(ToolResult, st.text(max_size=2), st.just(()))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.builds(Message, ROLES, st.lists(PARTS, max_size=3).map(tuple)), max_size=8))
def test_roles_alternate_and_no_part_is_lost(messages):
    turns = merged(messages)
    assert all(one.role != other.role for one, other in pairwise(turns))
    assert {turn.role for turn in turns} <= {"user", "assistant"}
    told = [part for turn in turns for part in turn.parts]
    assert sorted(map(repr, told)) == sorted(repr(part) for message in messages for part in message.parts)
    for turn in turns:
        kinds = [isinstance(part, ToolResult) for part in turn.parts]
        assert kinds == sorted(kinds, reverse=True)


def test_only_the_roles_that_are_named_are_joined():
    said = [user("a"), user("b"), assistant("c"), assistant("d")]
    assert joined(said, "assistant") == [user("a"), user("b"), assistant("c", "d")]
    assert joined(said) == [user("a", "b"), assistant("c", "d")]
    assert joined([]) == []


def test_a_hundred_thousand_neighbours_are_joined_at_once():
    """Message after message took a minute for as many as a body has room for, and the watchdog ended the process."""
    many = [user("a")] * 100_000
    begun = time.process_time()
    (turn,) = merged(many)
    assert len(turn.parts) == 100_000
    assert time.process_time() - begun < 5
