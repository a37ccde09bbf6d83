"""The record for others: the lines of a time, a user or an instance, of all processes in the order of time."""

from __future__ import annotations

import csv
import heapq
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llmauth.audit.chain import LONGEST_LINE, parsed
from llmauth.audit.heads import KEY, Signer, head_of
from llmauth.audit.records import COLUMNS
from llmauth.audit.survey import files_in, open_regular

_BLOCK = 1 << 20
# What a spreadsheet takes for a formula; a caller chooses the name of a model.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which lines: times are Unix time in seconds, `until` not included; None is no limit."""

    since: float | None = None
    until: float | None = None
    user: str | None = None
    instance: str | None = None
    kind: str | None = None

    def takes(self, told: Mapping[str, Any]) -> bool:
        """Whether this line is wanted."""
        at = told.get("at")
        moment = at / 1000 if isinstance(at, int) else 0.0
        if (self.since is not None and moment < self.since) or (self.until is not None and moment >= self.until):
            return False
        named = {"user": self.user, "instance": self.instance, "kind": self.kind}
        return all(value is None or told.get(name) == value for name, value in named.items())


@dataclass(slots=True)
class Export:
    """Reads the files of a state folder; `unreadable` counts the lines and files that could not be told, as it goes on.

    What stands behind a signed head is left out: nobody was told that it was recorded.
    """

    home: Path
    wanted: Wanted = field(default_factory=Wanted)
    unreadable: int = 0

    def lines(self) -> Iterator[dict[str, Any]]:
        """Each line as it was written, and the `file` that it stands in, by time."""
        key = KEY.load(self.home)
        signer = None if key is None else Signer(key)
        each = (self._of(path, _signed(self.home, path, signer)) for path in files_in(self.home))
        return heapq.merge(*each, key=lambda told: (told["at"], told["file"], told["seq"]))

    def _of(self, path: Path, signed: int | None) -> Iterator[dict[str, Any]]:
        last = 0
        for line in self._raw(path):
            told = parsed(line)
            if told is not None and type(told.get("at")) is int:
                last = told["seq"]
                if (signed is None or last <= signed) and self.wanted.takes(told):
                    yield {**told, "file": path.name}
            elif signed is None or last < signed:
                self.unreadable += 1

    def _raw(self, path: Path) -> Iterator[bytes]:
        """Opened anew for each block: there may be more files than a process may have open."""
        at, content = 0, b"?"
        while content:
            try:
                with open_regular(path) as file:
                    file.seek(at)
                    content = file.read(_BLOCK) + file.readline(LONGEST_LINE)
            except OSError:
                self.unreadable += 1
                return
            at += len(content)
            yield from content.splitlines(keepends=True)


def _signed(home: Path, path: Path, signer: Signer | None) -> int | None:
    """The number of the last record that is signed for, None where that is not known."""
    try:
        head = None if signer is None else signer.read(head_of(home, path.name))
    except OSError:
        return None
    return head.link.seq if head is not None and head.genuine else None


def as_json(lines: Iterator[dict[str, Any]], write: Callable[[str], object]) -> None:
    """One object a line."""
    for told in lines:
        write(json.dumps(told, separators=(",", ":")) + "\n")


def as_csv(lines: Iterator[dict[str, Any]], write: Callable[[str], object]) -> None:
    """A table with every column that a line may have. Lists are joined by blanks; no text is a formula."""
    columns = ("file", *(name for name in COLUMNS if name != "file"))
    row = io.StringIO()
    table = csv.DictWriter(row, columns, extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    for told in lines:
        table.writerow({name: _cell(value) for name, value in told.items()})
        write(row.getvalue())
        row.seek(0)
        row.truncate()
    write(row.getvalue())


def _cell(value: object) -> object:
    text = " ".join(map(str, value)) if isinstance(value, list) else value
    if not isinstance(text, str):
        return text
    # What a terminal would obey, what would break a line for some reader, and halves of characters.
    plain = "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)
    return f"'{plain}" if text.startswith(_FORMULA) else plain
