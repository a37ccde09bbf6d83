"""What becomes of each word in a provider's format: the tables that code and documentation both read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from llmauth.chat.features import features
from llmauth.chat.messages import ChatRequest
from llmauth.chat.words import PARAMETERS, Word
from llmauth.errors import UnsupportedParameter


@dataclass(frozen=True, slots=True)
class Sent:
    """Said to the provider as `place`: a member of its body, with dots between levels.

    A parameter is put there by `apply`, through `convert` (which may raise UnsupportedParameter); a feature is written
    by the codec itself, and `place` is for readers.
    """

    place: str
    convert: Callable[[Any], Any] | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Dropped:
    """Left out, since the answer means the same without it; the client is told, and strict mode refuses."""

    note: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """400, since to leave it out would change what is asked."""

    note: str = ""


@dataclass(frozen=True, slots=True)
class Ignored:
    """Left out without a word, since this provider does the same unasked."""

    note: str = ""


Rule = Sent | Dropped | Refused | Ignored
Table = Mapping[Word, Rule]


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """What of a request a provider is told: its parameters by word, and the client's names of what is left out."""

    parameters: Mapping[Word, Any]
    features: frozenset[Word]  # those that are sent: a codec leaves the others out
    dropped: tuple[str, ...]


def admit(request: ChatRequest, table: Table, *, provider: str, strict: bool) -> Admitted:
    """Judge every word of a request by a table; a word that a table does not know is refused.

    UnsupportedParameter names the first word that must not be left out, as the client spelled it.
    """
    kept: dict[Word, Any] = {}
    sent: set[Word] = set()
    dropped: list[str] = []
    for word in (*request.parameters, *features(request)):
        rule = table.get(word, Refused())
        if isinstance(rule, Refused) or (strict and isinstance(rule, Dropped)):
            raise unsupported(request, word, provider, rule.note)
        if isinstance(rule, Dropped):
            dropped.append(request.named(word))
        elif isinstance(rule, Sent):
            sent.add(word)
            if word in request.parameters:
                kept[word] = request.parameters[word]
    if strict and request.unknown:
        raise UnsupportedParameter(
            f"The parameter '{request.unknown[0]}' is not known to this gateway, and instance options are strict.",
            hint="Leave it out, or call the provider's native API in transparent mode.",
            param=request.unknown[0],
        )
    return Admitted(parameters=kept, features=frozenset(sent), dropped=(*dropped, *request.unknown))


def apply(body: dict[str, Any], admitted: Admitted, table: Table) -> None:
    """Put the parameters where the table says, each through its conversion."""
    for word, value in admitted.parameters.items():
        rule = table[word]
        assert isinstance(rule, Sent)
        place(body, rule.place, value if rule.convert is None else rule.convert(value))


def place(body: dict[str, Any], path: str, value: Any) -> None:
    """Set a member, making the levels above it where they are missing."""
    *levels, last = path.split(".")
    for level in levels:
        body = body.setdefault(level, {})
    body[last] = list(value) if isinstance(value, tuple) else value


def unsupported(request: ChatRequest, word: Word, provider: str, note: str = "") -> UnsupportedParameter:
    """The refusal of one word."""
    name = request.named(word)
    return UnsupportedParameter(
        f"'{name}' is not supported by {provider}{f' ({note})' if note else ''}.",
        hint="Leave it out, ask for another model, or call the provider's native API in transparent mode.",
        param=name,
    )


def complete(table: Table) -> bool:
    """Whether a table has a rule for every word: one that lacks some refuses without having thought of it."""
    return set(table) == set(Word)


def is_parameter(word: Word) -> bool:
    """Whether a word is a parameter, and not a feature."""
    return word in PARAMETERS
