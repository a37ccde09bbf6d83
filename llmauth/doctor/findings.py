"""What an examination finds: a verdict, a sentence, and for everything that is not well what mends it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "warn", "fail", "skip"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at. `check` is the examination's name; `fix` a command or a line of configuration."""

    verdict: Verdict
    what: str
    fix: str | None = None
    check: str = ""

    def __post_init__(self) -> None:
        if (self.verdict in ("warn", "fail")) != (self.fix is not None):
            raise ValueError("what is not well names what mends it, and nothing else does")


def ok(what: str) -> Finding:
    """It is well; a few words, since several of these stand on a line."""
    return Finding(verdict="ok", what=what)


def skip(what: str) -> Finding:
    """It was not looked at, and why."""
    return Finding(verdict="skip", what=what)


def warn(what: str, fix: str) -> Finding:
    """It works, or will, and should be mended."""
    return Finding(verdict="warn", what=what, fix=fix)


def fail(what: str, fix: str) -> Finding:
    """It does not work."""
    return Finding(verdict="fail", what=what, fix=fix)
