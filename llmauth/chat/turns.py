"""Turns rearranged for providers that are particular about them: system texts apart, roles that alternate."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby

from llmauth.chat.messages import Message, Part, Role, Text, ToolResult

_SYSTEM = ("system", "developer")


def leading(messages: Sequence[Message]) -> tuple[tuple[Text, ...], tuple[Message, ...]]:
    """The texts of the system messages that come first, and the rest of the messages."""
    count = next((i for i, message in enumerate(messages) if message.role not in _SYSTEM), len(messages))
    texts = [part for message in messages[:count] for part in message.parts if isinstance(part, Text)]
    return tuple(texts), tuple(messages[count:])


def folded(messages: Sequence[Message]) -> tuple[Message, ...]:
    """System messages of later turns as texts of the user, marked as what they are: where there is no such role."""
    return tuple(_marked(message) if message.role in _SYSTEM else message for message in messages)


def merged(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Neighbours that one role of the wire speaks, as one message; tool results count as the user's, and come first."""
    spoken = (replace(message, role="user") if message.role == "tool" else message for message in messages)
    return tuple(map(_results_first, joined(spoken)))


def joined(messages: Iterable[Message], *roles: Role) -> list[Message]:
    """Neighbours of one role as one message; where `roles` are given, of these alone.

    A run is joined at once: to add message after message would copy all before it each time, and a body has room for a
    hundred thousand of them.
    """
    turns: list[Message] = []
    for role, run in groupby(messages, key=lambda message: message.role):
        first, *more = run
        if more and (not roles or role in roles):
            first, more = replace(first, parts=tuple(part for message in (first, *more) for part in message.parts)), []
        turns += (first, *more)
    return turns


def _results_first(turn: Message) -> Message:
    return replace(turn, parts=tuple(sorted(turn.parts, key=lambda part: not isinstance(part, ToolResult))))


def _marked(message: Message) -> Message:
    parts: tuple[Part, ...] = tuple(
        replace(part, text=f"<system>\n{part.text}\n</system>") if isinstance(part, Text) else part
        for part in message.parts
    )
    return Message(role="user", parts=parts)
