"""A JSON object's own members read and replaced in its bytes: every other byte stays as the client wrote it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, NoReturn

from llmauth.codecs.reading import Malformed, text_of
from llmauth.errors import BadRequest

# Members of the outermost object: each is looked at by itself, and no request has more than a few dozen.
MOST_MEMBERS = 10_000
_SPACE = re.compile(r"[ \t\n\r]*")


@dataclass(frozen=True, slots=True)
class Member:
    """A member and where it stands: `begin` is the quote of its name, `value_at` and `end` the value's bounds."""

    name: str
    value: Any
    begin: int
    value_at: int
    end: int


class Splice:
    """A body that is a JSON object, opened. BadRequest for what is none, and for a name that stands twice in it.

    Of two members of one name a reader may take the first or the last, and some readers do not heed case: what we judge
    must be what the provider reads.
    """

    __slots__ = ("_text", "members")

    def __init__(self, body: bytes) -> None:
        try:
            self._text = text_of(body)
            found = list(islice(_members(self._text), MOST_MEMBERS + 1))
            if len(found) > MOST_MEMBERS:
                raise Malformed("", f"holds more than {MOST_MEMBERS} members")
        except Malformed as fault:
            raise _refused(fault.fault) from None
        except RecursionError:
            raise _refused("nested too deeply") from None
        except ValueError:
            raise _refused("not valid JSON") from None
        self.members = {member.name: member for member in found}
        if len({name.casefold() for name in self.members}) != len(found):
            raise _refused("one of its names stands twice")

    def value(self, name: str) -> Any:
        """What a member holds, None where it is absent."""
        member = self.members.get(name)
        return None if member is None else member.value

    def replaced(self, name: str, value: Any) -> bytes:
        """The body with another value of this member, which must be there."""
        member = self.members[name]
        return self._join(self._text[: member.value_at], json.dumps(value), self._text[member.end :])

    def altered(self, *, without: tuple[str, ...] = (), added: dict[str, Any] | None = None) -> bytes:
        """The body without some members, and with others before all that stay; those must not be there."""
        kept = [member for name, member in self.members.items() if name not in without]
        pieces = [f"{json.dumps(name)}:{json.dumps(value)}" for name, value in (added or {}).items()]
        pieces += self._runs(kept)
        members = list(self.members.values())
        if not members:
            opening = self._text.index("{") + 1
            return self._join(self._text[:opening], ",".join(pieces), self._text[opening:])
        return self._join(self._text[: members[0].begin], ",".join(pieces), self._text[members[-1].end :])

    def _runs(self, kept: list[Member]) -> Iterator[str]:
        """Members that stood side by side, with what stood between them."""
        order = {member.name: number for number, member in enumerate(self.members.values())}
        first = 0
        for number in range(1, len(kept) + 1):
            if number == len(kept) or order[kept[number].name] != order[kept[number - 1].name] + 1:
                yield self._text[kept[first].begin : kept[number - 1].end]
                first = number

    @staticmethod
    def _join(*pieces: str) -> bytes:
        return "".join(pieces).encode("utf-8")


def _model(splice: Splice) -> str | None:
    model = splice.value("model")
    if model is not None and not isinstance(model, str):
        raise _refused("'model' is not a string", param="model")
    return model


def _stream(splice: Splice) -> bool:
    stream = splice.value("stream")
    if stream is not None and not isinstance(stream, bool):
        raise _refused("'stream' is neither true nor false", param="stream")
    return stream is True


def asked_in(body: bytes) -> tuple[str | None, bool]:
    """The model that a request names, None where it names none; and whether it asks for a stream.

    BadRequest for a model that is no text, and for a `stream` that is neither true, false nor null.
    """
    splice = Splice(body)
    return _model(splice), _stream(splice)


def model_replaced(body: bytes, model: str) -> bytes:
    """The request with another model. BadRequest where it names none."""
    splice = Splice(body)
    if not isinstance(splice.value("model"), str):
        raise _refused("it names no model", param="model")
    return splice.replaced("model", model)


def _refused(fault: str, param: str | None = None) -> BadRequest:
    return BadRequest(f"The body is no request in JSON: {fault}.", code="invalid_request", param=param)


def _no_constant(text: str) -> NoReturn:
    raise Malformed("", f"{text} is no JSON value")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def _members(text: str) -> Iterator[Member]:
    """The members of the outermost object, in order."""
    at = _expect(text, _skip(text, 0), "{")
    if text[at : at + 1] == "}":
        return _end(text, at)
    while True:
        begin = at
        if text[begin : begin + 1] != '"':
            raise Malformed("", f"a name is missing at character {begin}")
        name, at = _DECODER.raw_decode(text, begin)
        value_at = _expect(text, _skip(text, at), ":")
        value, end = _DECODER.raw_decode(text, value_at)
        yield Member(name, value, begin, value_at, end)
        at = _skip(text, end)
        if text[at : at + 1] != ",":
            return _end(text, at)
        at = _skip(text, at + 1)


def _end(text: str, at: int) -> None:
    at = _expect(text, at, "}")
    if at != len(text):
        raise Malformed("", "something follows the object")


def _expect(text: str, at: int, mark: str) -> int:
    """The place behind a mark, and behind the space that follows it."""
    if text[at : at + 1] != mark:
        raise Malformed("", f"'{mark}' is missing at character {at}")
    return _skip(text, at + 1)


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    assert match is not None
    return match.end()
