"""`${NAME}` and `${NAME:-default}` in the text of a value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from llmauth.secrets import Secret

# `$${` stands for the two characters themselves. A default reaches to the first brace and cannot hold another variable.
_VARIABLE = re.compile(
    r"(?P<escaped>\$\$\{)|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<default>:-(?:(?!\$\{)[^}])*)?\}|(?P<malformed>\$\{)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expansion:
    """A variable that was put in place, and what it became; the value may be a secret and is never shown."""

    name: str
    value: Secret
    from_default: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Expanded:
    """A text after expansion, the variables in it, and what was wrong."""

    text: str
    expansions: tuple[Expansion, ...] = ()
    faults: tuple[str, ...] = ()


def expand(text: str, environ: Mapping[str, str]) -> Expanded:
    """Put variables in place; as in a shell, the default also stands in for a variable that is set and empty."""
    if "${" not in text:
        return Expanded(text=text)
    expansions: list[Expansion] = []
    faults: list[str] = []

    def replace(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "${"
        if match["malformed"]:
            faults.append("`${` begins a variable: write `${NAME}` or `${NAME:-default}`, or `$${` for the characters")
            return ""
        expansion = _look_up(match["name"], match["default"], environ)
        if expansion is None:
            faults.append(
                f"${{{match['name']}}} is not set; set it, or give a default: `${{{match['name']}:-default}}`"
            )
            return ""
        expansions.append(expansion)
        return expansion.value.reveal()

    result = _VARIABLE.sub(replace, text)
    return Expanded(text=result, expansions=tuple(expansions), faults=tuple(faults))


def _look_up(name: str, default: str | None, environ: Mapping[str, str]) -> Expansion | None:
    value = environ.get(name)
    if default is not None and not value:
        return Expansion(name=name, value=Secret(default[2:]), from_default=True)
    return None if value is None else Expansion(name=name, value=Secret(value))
