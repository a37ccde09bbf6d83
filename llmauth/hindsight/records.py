"""Requests as the audit record tells them: for what no process remembers any more, and where none runs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmauth.audit.chain import LONGEST_LINE, parsed
from llmauth.audit.survey import files_in, open_regular
from llmauth.hindsight.ids import begins

NOT_KEPT = "path, client, header changes, the credential's age and times but the whole"
"""What a request's record does not hold, in words."""

_BLOCK = 1 << 20
_MOST = 20
_DECIDED, _ENDED = "request", "outcome"
_DOORS = {"connect": "forward", "tunnel": "forward", "absolute": "forward", "gateway": "path"}


@dataclass(slots=True)
class Records:
    """The record in a state folder. `unreadable` counts the files that could not be read; no hash is looked at here."""

    home: Path
    unreadable: int = 0

    def latest(self, limit: int, user: str | None = None) -> list[dict[str, Any]]:
        """The last requests, of all processes, the oldest first."""
        found: list[dict[str, Any]] = []
        for path in sorted(files_in(self.home), key=_changed, reverse=True):
            if len(found) >= limit and _changed(path) < found[-limit]["at"]:
                break  # nothing in it is as young as any of these
            found = sorted([*self._last_of(path, limit, user), *found], key=lambda one: one["at"])
        return found[-limit:]

    def find(self, name: str) -> list[dict[str, Any]]:
        """The requests that an id means, ours or the provider's, whole or the beginning of ours; the newest last."""
        needles = [f'request_id":{json.dumps(each)[:-1]}'.encode() for each in (name, f"req_{name}")]
        met = [told for told in self._lines(needles) if _is_meant(told, name)]
        whole = {told["request_id"] for told in met if name in (told["request_id"], told.get("provider_request_id"))}
        ids = whole or {told["request_id"] for told in met}
        needles = [f'"request_id":{json.dumps(each)}'.encode() for each in sorted(ids)[:_MOST]]
        lines = [told for told in self._lines(needles) if told["request_id"] in ids] if needles else []
        return sorted(_paired(lines), key=lambda one: one["at"])

    def _last_of(self, path: Path, limit: int, user: str | None) -> list[dict[str, Any]]:
        """Of one file, read from its end; an outcome stands behind its decision."""
        outcomes: dict[str, Mapping[str, Any]] = {}
        found: list[dict[str, Any]] = []
        for told in self._backwards(path):
            kind, name = told.get("kind"), told.get("request_id")
            if kind == _ENDED and isinstance(name, str):
                outcomes.setdefault(name, told)
            elif kind == _DECIDED and isinstance(name, str) and user in (None, told.get("user")) and _led_on(told):
                found.append(_request(told, outcomes.pop(name, None)))
            if len(found) >= limit:
                break
        return found[::-1]

    def _backwards(self, path: Path) -> Iterator[Mapping[str, Any]]:
        try:
            with open_regular(path) as file:
                at, rest = file.seek(0, 2), b""
                while at and len(rest) < LONGEST_LINE:
                    begin = max(0, at - _BLOCK)
                    file.seek(begin)
                    lines = (file.read(at - begin) + rest).splitlines(keepends=True)
                    at = begin
                    rest = lines.pop(0) if at and lines else b""
                    yield from filter(None, map(parsed, reversed(lines)))
        except OSError:
            self.unreadable += 1

    def _lines(self, needles: Iterable[bytes]) -> Iterator[Mapping[str, Any]]:
        """The lines of requests that hold one of these, in no particular order."""
        wanted = re.compile(b"|".join(map(re.escape, needles)))
        for path in reversed(files_in(self.home)):
            try:
                with open_regular(path) as file:
                    while content := file.read(_BLOCK) + file.readline(LONGEST_LINE):
                        yield from _among(content, wanted)
            except OSError:
                self.unreadable += 1


def _among(content: bytes, wanted: re.Pattern[bytes]) -> Iterator[Mapping[str, Any]]:
    end = 0
    for found in wanted.finditer(content):
        if found.start() < end:
            continue
        begin = content.rfind(b"\n", 0, found.start()) + 1
        end = content.find(b"\n", found.start()) + 1 or len(content)
        told = parsed(content[begin:end])
        if told is not None and told.get("kind") in (_DECIDED, _ENDED) and isinstance(told.get("request_id"), str):
            yield told


def _led_on(decided: Mapping[str, Any]) -> bool:
    """Whether it was more than a question about oneself that we answered."""
    return decided.get("code") is not None or any(name in decided for name in ("instance", "protocol", "host"))


def _is_meant(told: Mapping[str, Any], name: str) -> bool:
    return begins(told["request_id"], name) or told.get("provider_request_id") == name


def _paired(lines: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """A client may use one id for several requests: their outcomes follow their decisions in the same order."""
    ordered = sorted(lines, key=lambda told: (told["at"], told["kind"] == _ENDED))
    outcomes: dict[str, list[Mapping[str, Any]]] = {}
    for told in ordered:
        if told["kind"] == _ENDED:
            outcomes.setdefault(told["request_id"], []).append(told)
    for told in ordered:
        if told["kind"] == _DECIDED:
            waiting = outcomes.get(told["request_id"], []) if told["decision"] == "allow" else []
            yield _request(told, waiting.pop(0) if waiting else None)


def _request(decided: Mapping[str, Any], ended: Mapping[str, Any] | None) -> dict[str, Any]:
    """In the words of `llmauth.hindsight.facts`."""
    after = ended or {}
    seconds = after.get("seconds")
    told = {
        "request_id": decided["request_id"],
        "provider_request_id": after.get("provider_request_id"),
        "at": decided["at"] / 1000,
        "recorded": True,
        "user": decided.get("user"),
        "source": decided.get("client"),
        "door": _DOORS.get(str(decided.get("door")), decided.get("door")),
        "method": decided.get("http_method"),
        "host": decided.get("host"),
        "protocol": decided.get("protocol"),
        "operation": decided.get("operation"),
        "model": decided.get("model"),
        "instance": decided.get("instance"),
        "provider": decided.get("provider"),
        "proved_by": decided.get("method"),
        "key_id": decided.get("key_id"),
        "groups": decided.get("groups"),
        "status": after.get("status", decided.get("status")),
        "cut": after.get("cut"),
        "ms": None if seconds is None else round(seconds * 1000, 2),
        "input_tokens": after.get("input_tokens"),
        "output_tokens": after.get("output_tokens"),
        "cost": after.get("cost"),
        "bytes_in": after.get("received"),
        "bytes_out": after.get("sent"),
        "code": after.get("code", decided.get("code")),
        "decisions": [_decision(text) for text in decided.get("decisions", ())],
        "credential": {"strategy": decided["strategy"]} if "strategy" in decided else None,
    }
    if "code" in decided:
        told["refusal"] = {"code": decided["code"], "message": decided.get("reason", "")}
    return {name: value for name, value in told.items() if value is not None}


def _decision(text: str) -> dict[str, Any]:
    router, _, said = text.partition(": ")
    begin = _bracket(said)
    if begin is None:  # cut to its limit
        return {"router": router, "outcome": said, "reason": ""}
    return {"router": router, "outcome": said[:begin].rstrip(), "reason": said[begin + 1 : -1]}


def _bracket(text: str) -> int | None:
    """Where the bracket opens that the text ends with."""
    depth = 0
    for place in range(len(text) - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(text[place], 0)
        if not depth:
            return place if text[place] == "(" else None
    return None


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
