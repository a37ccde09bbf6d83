"""The gateway's access log, read while it is written."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_POLL = 0.01
_LOGGER = "llmauth.access"


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """One line: a request, as the gateway saw it. `code` is that of a refusal of its own; `dial_ms` comes on top."""

    timestamp: str
    request_id: str
    status: int
    door: str
    provider_request_id: str | None = None
    user: str | None = None
    target: str | None = None
    instance: str | None = None
    strategy: str | None = None
    overhead_ms: float | None = None
    dial_ms: float | None = None
    code: str | None = None


_FIELDS = frozenset(Access.__slots__)


class AccessLog:
    """Each line is given out once, in order."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0
        self._lines: deque[Access] = deque()

    def take(self) -> tuple[Access, ...]:
        """The lines that came since the last taking."""
        self._fill()
        lines = tuple(self._lines)
        self._lines.clear()
        return lines

    def of(self, request_id: str | None, status: int | None, *, limit: float = 2.0) -> Access | None:
        """The line of a call that is over, by an id that the caller was told, else the next of this status: a CONNECT
        that was refused tells an SDK no more. `None` when no line comes within `limit` seconds.
        """
        ends = time.monotonic() + limit
        while True:
            self._fill()
            for line in self._lines:
                if _is(line, request_id, status):
                    self._lines.remove(line)
                    return line
            if time.monotonic() > ends:
                return None
            time.sleep(_POLL)

    def _fill(self) -> None:
        with self._path.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._read += len(whole)
        self._lines += _parsed(whole.decode("utf-8", "replace").split("\n"))


def _is(line: Access, request_id: str | None, status: int | None) -> bool:
    if request_id is not None:
        return request_id in (line.request_id, line.provider_request_id)
    return line.status == status


def _parsed(lines: Iterable[str]) -> Iterable[Access]:
    for line in lines:
        if line.startswith("{"):
            facts = json.loads(line)
            if facts.get("logger") == _LOGGER:
                yield Access(**{name: value for name, value in facts.items() if name in _FIELDS})
