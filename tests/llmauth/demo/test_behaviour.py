"""The script: which request gets which behaviour, how often, and when it is told early."""

from __future__ import annotations

from llmauth.demo.behaviour import ORDINARY, Behaviour, Script

BAD = Behaviour(status=500)
WORSE = Behaviour(status=503)


def test_a_behaviour_is_used_up() -> None:
    script = Script()
    script.add("a.b", BAD, 2, "/")
    assert [script.take("a.b", b"/") for _ in range(3)] == [BAD, BAD, ORDINARY]


def test_behaviours_come_in_the_order_they_were_given() -> None:
    script = Script()
    script.add("a.b", BAD, 1, "/")
    script.add("a.b", WORSE, None, "/")
    assert [script.take("a.b", b"/") for _ in range(3)] == [BAD, WORSE, WORSE]


def test_host_and_path_choose() -> None:
    script = Script()
    script.add("a.b", BAD, 1, "/v1/chat")
    assert script.take("c.d", b"/v1/chat") is ORDINARY
    assert script.take("a.b", b"/v1/models") is ORDINARY
    assert script.take("a.b", b"/v1/chat/completions") is BAD


def test_only_early_ones_are_taken_at_the_head() -> None:
    script = Script()
    script.add("a.b", BAD, 1, "/")
    assert script.take_early("a.b", b"/") is None
    assert script.take("a.b", b"/") is BAD
    script.add("a.b", Behaviour(early=True), 1, "/")
    assert script.take_early("a.b", b"/") == Behaviour(early=True)
    assert script.take("a.b", b"/") is ORDINARY


def test_what_is_cleared_is_not_played() -> None:
    script = Script()
    script.add("a.b", BAD, None, "/")
    script.clear()
    assert script.take("a.b", b"/") is ORDINARY
