"""Two JSON bodies compared: what is the same said otherwise is made alike, and what then differs is listed by place."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

_ABSENT = object()
_LETTER = re.compile(r"_([a-z])")
# Members that hold what the client wrote, in which no name may be changed.
_OPAQUE = frozenset({"args", "response", "parametersJsonSchema", "parameters", "responseJsonSchema", "labels"})


@dataclass(frozen=True, slots=True)
class Difference:
    """`path` has `[]` for every place in a list; `ours` and `theirs` are JSON, or `absent`."""

    target: str
    case: str
    path: str
    ours: str
    theirs: str


def differences(target: str, case: str, ours: Any, theirs: Any) -> list[Difference]:
    """Every place in which two bodies differ; `null` is the same as nothing."""
    told = _different(_plain(ours), _plain(theirs), "")
    return [Difference(target, case, path.lstrip("."), _shown(one), _shown(other)) for path, one, other in told]


def _shown(value: Any) -> str:
    return "absent" if value is _ABSENT else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _different(ours: Any, theirs: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name in sorted({*ours, *theirs}):
            yield from _different(ours.get(name, _ABSENT), theirs.get(name, _ABSENT), f"{path}.{name}")
    elif isinstance(ours, list) and isinstance(theirs, list):
        yield from _of_lists(ours, theirs, f"{path}[]")
    elif ours is _ABSENT or theirs is _ABSENT or type(ours) is not type(theirs) or ours != theirs:
        yield path, ours, theirs


def _of_lists(ours: list[Any], theirs: list[Any], path: str) -> Iterator[tuple[str, Any, Any]]:
    """Items that are equal are put side by side, then those that have changed, then what is only here or there."""
    matcher = SequenceMatcher(None, [_shown(item) for item in ours], [_shown(item) for item in theirs], autojunk=False)
    for _, start, end, from_, to in matcher.get_opcodes():
        mine, other = ours[start:end], theirs[from_:to]
        if mine != other:
            for place in range(max(len(mine), len(other))):
                yield from _different(_at(mine, place), _at(other, place), path)


def _at(items: list[Any], place: int) -> Any:
    return items[place] if place < len(items) else _ABSENT


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def camel(value: Any, *, within: str = "") -> Any:
    """Google takes its members in snake case too."""
    if within in _OPAQUE:
        return value
    if isinstance(value, dict):
        return {new: camel(inner, within=new) for name, inner in value.items() if (new := _camel(name))}
    return [camel(inner) for inner in value] if isinstance(value, list) else value


def _camel(name: str) -> str:
    return _LETTER.sub(lambda found: found[1].upper(), name)


def listed(*members: str) -> Callable[[Any], Any]:
    """A text in one of these members as the list of one text block that it stands for."""

    def convert(value: Any) -> Any:
        if isinstance(value, list):
            return [convert(inner) for inner in value]
        if not isinstance(value, dict):
            return value
        return {name: _blocks(inner) if name in members else convert(inner) for name, inner in value.items()}

    def _blocks(value: Any) -> Any:
        return [{"type": "text", "text": value}] if isinstance(value, str) else convert(value)

    return convert


def parsed(*members: str) -> Callable[[Any], Any]:
    """The JSON that stands in a text of one of these members, whose white space says nothing."""

    def convert(value: Any) -> Any:
        if isinstance(value, list):
            return [convert(inner) for inner in value]
        if not isinstance(value, dict):
            return value
        return {name: _json(inner) if name in members else convert(inner) for name, inner in value.items()}

    def _json(value: Any) -> Any:
        try:
            return {"JSON": json.loads(value)} if isinstance(value, str) else convert(value)
        except ValueError:
            return value

    return convert
