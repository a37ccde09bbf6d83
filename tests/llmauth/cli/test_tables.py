"""Spans of time as people read them, and texts that are no markup."""

import pytest

from llmauth.cli.tables import _plain, _span, show_foreseen, show_standing


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (59, "59s"),
        (60, "1m 00s"),
        (3599, "59m 59s"),
        (3600, "1h 00m"),
        (86_399, "23h 59m"),
        (90_000, "1d 1h"),
    ],
)
def test_spans(seconds, text):
    assert _span(seconds) == text


def test_what_a_source_says_is_no_markup(capsys):
    assert _plain("[red]").plain == "[red]"
    told = {"strategy": "file", "standing": "not_used", "reason": "[bold]/etc/[x] is not there[/bold]"}
    platform = {"name": "generic", "features": [], "forced": True}
    show_standing([{"process": 1, "platform": platform, "instances": {"a": {"strategies": [told], "state": "failed"}}}])
    out = capsys.readouterr().out
    assert "[bold]/etc/[x] is not there[/bold]" in " ".join(out.split())
    assert "Platform: generic (forced by configuration). Features: none" in out


@pytest.mark.parametrize(
    "said", [r"\[bold]x", r"\[/red]x", "a\x1b]0;title\x07b", "a\x1b[2Jb", "ends with \\", "\udcff"]
)
def test_nothing_that_is_said_reaches_the_terminal_as_more_than_text(capsys, said):
    told = {"strategy": "file", "standing": "not_used", "reason": said}
    platform = {"name": "generic", "features": [], "forced": True}
    show_standing([{"process": 1, "platform": platform, "instances": {"a": {"strategies": [told], "state": "failed"}}}])
    show_foreseen("eks", platform, {"a": {"strategy": None, "strategies": [told]}})
    shown = "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in said)
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert out.count(shown) == 2
    assert "[/]" not in out
