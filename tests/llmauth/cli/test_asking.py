"""Yes is yes, and everything else is no."""

from __future__ import annotations

import io

import pytest

from llmauth.cli.asking import confirmed, is_person
from tests.fixtures.keyrings import Typed


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [("y\n", True), ("YES\n", True), (" y \n", True), ("", False), ("\n", False), ("n\n", False), ("yx\n", False)],
)
def test_an_answer(
    typed: str, wanted: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", Typed(typed))
    assert is_person()
    assert confirmed("Really?") is wanted
    shown = capsys.readouterr()
    assert (shown.out, shown.err.startswith("Really?  [y/N] ")) == ("", True)


def test_nobody_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert not is_person()
