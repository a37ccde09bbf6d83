"""What is waited for is said on a terminal, when it takes long, and nowhere else."""

from __future__ import annotations

import io
import time

import pytest

from llmauth.cli.waiting import waiting


class Terminal(io.StringIO):
    """Standard error that a person sees."""

    def isatty(self) -> bool:
        return True


def seen(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """In the test itself: pytest puts its own standard error back after the fixtures."""
    monkeypatch.setenv("TERM", "xterm")
    shown = Terminal()
    monkeypatch.setattr("sys.stderr", shown)
    return shown


def test_a_person_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = seen(monkeypatch)
    with waiting("Asking the moon", after=0.0):
        ends = time.monotonic() + 5
        while "Asking the moon …" not in terminal.getvalue() and time.monotonic() < ends:
            time.sleep(0.01)
    assert "Asking the moon …" in terminal.getvalue()
    assert "\x1b[2K" in terminal.getvalue(), "the line is gone afterwards"


def test_what_is_quick_needs_no_word(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = seen(monkeypatch)
    with waiting("Asking the moon"):
        pass
    assert terminal.getvalue() == ""


def test_a_script_is_told_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with waiting("Asking the moon", after=0.0):
        time.sleep(0.05)
    assert capsys.readouterr() == ("", "")


def test_a_failure_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    seen(monkeypatch)
    with pytest.raises(ZeroDivisionError), waiting("Asking the moon", after=0.0):
        raise ZeroDivisionError
