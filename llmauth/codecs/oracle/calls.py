"""Calls of tools that come in pieces over the chunks of a stream."""

from __future__ import annotations

from llmauth.chat.events import ArgumentsDelta, CallStarted, Event
from llmauth.codecs.oracle.answers import call_id
from llmauth.codecs.reading import Malformed

_MOST = 128
_NONE = -1


class PiecedCalls:
    """Those of one choice. A piece with an id or a name of its own begins a call; one without goes on with the last."""

    def __init__(self, choice: int) -> None:
        self._choice = choice
        self._numbers: dict[str, int] = {}
        self._open = _NONE  # the call whose arguments may follow
        self._announced = ""  # the id of a call whose name is yet to come

    def __bool__(self) -> bool:
        return bool(self._numbers)

    def interrupt(self) -> None:
        """Something else was said: nothing more belongs to the call before it."""
        self._open = _NONE

    def piece(self, id_: str, name: str, arguments: str) -> list[Event]:
        """What a piece says, each of whose members may be empty; Malformed for arguments that belong to no call."""
        events: list[Event] = []
        if name and id_ not in self._numbers:
            events.append(self._begun(id_ or self._announced or call_id(len(self._numbers), name, arguments), name))
        elif id_ and id_ not in self._numbers:
            self._announced = id_
        if arguments:
            if self._announced or self._open == _NONE or self._numbers.get(id_, self._open) != self._open:
                raise Malformed("toolCalls", "arguments of a call that is not being told")
            events.append(ArgumentsDelta(self._open, arguments, self._choice))
        return events

    def _begun(self, id_: str, name: str) -> Event:
        if len(self._numbers) >= _MOST:
            raise Malformed("toolCalls", f"more than {_MOST} calls")
        self._announced = ""
        self._open = self._numbers[id_] = len(self._numbers)
        return CallStarted(self._open, id_, name, choice=self._choice)
