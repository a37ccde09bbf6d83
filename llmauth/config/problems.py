"""What is wrong with a configuration, and where: every fault with its file and line, all told at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a value stands: a file and its line, or an environment variable or option and no line.

    `folder` is what a relative path there is relative to.
    """

    source: str
    line: int | None = None
    folder: Path = Path()

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}:{self.line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One fault; `path` is the dotted way to the value, empty when the file as a whole is meant."""

    place: Place
    path: str
    message: str

    def __str__(self) -> str:
        text = f"{self.place}: {self.path}: {self.message}" if self.path else f"{self.place}: {self.message}"
        return printable(text)


def printable(text: str) -> str:
    """The text with what a terminal would obey, or nobody would see, written as an escape."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


class ConfigError(Exception):
    """The configuration cannot be used; `problems` has every fault, and `str` lists them one a line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = _in_reading_order(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def _in_reading_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    unique = list(dict.fromkeys(problems))
    sources = list(dict.fromkeys(problem.place.source for problem in unique))
    return tuple(sorted(unique, key=lambda problem: (sources.index(problem.place.source), problem.place.line or 0)))
