"""Paths as people read them."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmauth.cli.places import short


@pytest.mark.parametrize(
    ("home", "path", "wanted"),
    [
        ("/h/me", "/h/me/x/y", "~/x/y"),
        ("/h/me", "/h/meme/x", "/h/meme/x"),
        ("/h/me", "/h/me", "/h/me"),
        ("", "/x", "/x"),
    ],
)
def test_short(monkeypatch: pytest.MonkeyPatch, home: str, path: str, wanted: str) -> None:
    monkeypatch.setenv("HOME", home)
    assert short(Path(path)) == wanted
