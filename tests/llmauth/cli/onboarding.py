"""A home folder of its own with a keyring in memory, and commands that run in it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from llmauth import cli
from tests.fixtures.keyrings import MemoryKeyring, Typed, in_place

_OTHERS = (
    "HTTPS_PROXY",
    "https_proxy",
    "LLMAUTH_KEY",
    "LLMAUTH_CONFIG",
    "LLMAUTH_HOME",
    "XDG_CONFIG_HOME",
    "XDG_STATE_HOME",
    "OPENAI_API_KEY",
    "ANTHROPIC_API_KEY",
    "AWS_REGION",
    "AWS_PROFILE",
    "AWS_ACCESS_KEY_ID",
)


@dataclass(frozen=True)
class Person:
    """Somebody at a machine of their own."""

    home: Path
    ring: MemoryKeyring
    run: Callable[..., tuple[int, str, str]]

    @property
    def config(self) -> Path:
        return self.home / ".config" / "llmauth" / "config.yaml"

    @property
    def state(self) -> Path:
        return self.home / ".local" / "state" / "llmauth"

    def files(self) -> set[str]:
        """All that lies in the home folder, links as links."""
        return {str(path.relative_to(self.home)) for path in self.home.rglob("*")}


@pytest.fixture
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Person]:
    """`run(*words, given=, typed=)`: what is on standard input, of a pipe or of a terminal."""
    for name in _OTHERS:
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "me"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))

    def run(*words: str, given: str = "", typed: str | None = None) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(given) if typed is None else Typed(typed))
        code = cli.main(list(words))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    with in_place(monkeypatch) as ring:
        yield Person(home, ring, run)
