"""The neutral stream: what happens while a model answers, one frozen event at a time.

A well-formed stream is: one Started, any number of deltas, one Finished for each choice, and usage whenever it is told;
or at any point one Failed, after which nothing comes. Deltas of one text, thought or call follow each other until
another kind of delta or another call begins; calls of one choice are numbered from 0 in the order in which they begin.
"""

from __future__ import annotations

from dataclasses import dataclass

from llmauth.chat.messages import Citation, Finish, Signature, Usage
from llmauth.errors import GatewayError


@dataclass(frozen=True, slots=True)
class Started:
    """The provider began to answer; empty strings where it does not tell."""

    id: str = ""
    model: str = ""


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More text."""

    text: str
    choice: int = 0


@dataclass(frozen=True, slots=True)
class TextSigned:
    """The signature of the text so far (Gemini); or, before any text, of the answer as a whole."""

    signature: Signature
    choice: int = 0


@dataclass(frozen=True, slots=True)
class Cited:
    """A source of the text so far."""

    citation: Citation
    choice: int = 0


@dataclass(frozen=True, slots=True)
class RefusalDelta:
    """More of the model's words for not answering."""

    text: str
    choice: int = 0


@dataclass(frozen=True, slots=True)
class ThinkingDelta:
    """More thinking."""

    text: str
    choice: int = 0


@dataclass(frozen=True, slots=True)
class ThinkingSigned:
    """The signature of the thinking so far, which thereby ends."""

    signature: Signature
    choice: int = 0


@dataclass(frozen=True, slots=True)
class RedactedThinking:
    """A piece of thinking that only its provider can read."""

    data: Signature
    choice: int = 0


@dataclass(frozen=True, slots=True)
class CallStarted:
    """The model begins to ask for a tool; its arguments follow as JSON text in pieces, maybe none."""

    call: int
    id: str
    name: str
    signature: Signature | None = None
    choice: int = 0


@dataclass(frozen=True, slots=True)
class ArgumentsDelta:
    """More of a call's arguments."""

    call: int
    json: str
    choice: int = 0


@dataclass(frozen=True, slots=True)
class LogprobsDelta:
    """Log probabilities of the tokens of this moment, each in OpenAI's form, as JSON values."""

    content: tuple[object, ...]
    choice: int = 0


@dataclass(frozen=True, slots=True)
class Finished:
    """One choice is complete."""

    finish: Finish
    stop_sequence: str | None = None
    choice: int = 0


@dataclass(frozen=True, slots=True)
class UsageTold:
    """Tokens so far, in all; a later one replaces an earlier one."""

    usage: Usage


@dataclass(frozen=True, slots=True)
class Failed:
    """The provider failed, or its stream was cut or broken. Nothing follows."""

    error: GatewayError


Event = (
    Started
    | TextDelta
    | TextSigned
    | Cited
    | RefusalDelta
    | ThinkingDelta
    | ThinkingSigned
    | RedactedThinking
    | CallStarted
    | ArgumentsDelta
    | LogprobsDelta
    | Finished
    | UsageTold
    | Failed
)
