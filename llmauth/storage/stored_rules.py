"""The rules of a key as the database keeps them: JSON without what they do not say, and money as text."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final, get_args

from llmauth.rules import NO_RULES, Budget, Period, Rules

log = logging.getLogger(__name__)

NOTHING: Final = Rules(models=(), instances=(), protocols=(), hosts=(), methods=(), rpm=0, tpm=0, concurrent=0)
"""What a key may do whose rules cannot be understood."""

_LISTS = ("models", "instances", "protocols", "hosts", "methods")
_NUMBERS = ("rpm", "tpm", "concurrent")
_LONGEST = 200
_MOST = 1000
_HIGHEST = 10**12


def to_json(rules: Rules) -> dict[str, Any]:
    """What is kept of rules."""
    said: dict[str, Any] = {name: list(value) for name in _LISTS if (value := getattr(rules, name)) is not None}
    said.update({name: value for name in _NUMBERS if (value := getattr(rules, name)) is not None})
    if rules.budget is not None:
        said["budget"] = {"amount": str(rules.budget.amount), "per": rules.budget.per}
    return said


def from_json(said: Any, key_id: str) -> Rules:
    """The rules that were kept; NOTHING, and a line in the log, for what is not understood: it may be a limit."""
    if said == {}:
        return NO_RULES
    try:
        return _read(said)
    except (ValueError, TypeError, LookupError):
        log.error("the rules of a key cannot be read, so it may do nothing", extra={"key": key_id})
        return NOTHING


def require(rules: Rules) -> None:
    """ValueError, with a sentence, for rules that cannot be meant."""
    for name in _LISTS:
        entries = getattr(rules, name)
        if entries is not None and not all(_is_word(entry) for entry in entries):
            raise ValueError(f"An entry of {name} is empty, too long, or holds spaces or control characters.")
    for name in _NUMBERS:
        value = getattr(rules, name)
        if value is not None and not 1 <= value <= _HIGHEST:
            raise ValueError(f"{name} is {value}, and must be a whole number from 1 to {_HIGHEST}.")
    if rules.budget is not None and not (rules.budget.amount.is_finite() and rules.budget.amount > 0):
        raise ValueError("A budget must be an amount above 0.")


def _read(said: Any) -> Rules:
    if not isinstance(said, Mapping) or said.keys() - {*_LISTS, *_NUMBERS, "budget"}:
        raise ValueError
    values: dict[str, Any] = {name: _words(said[name]) for name in _LISTS if name in said}
    values.update({name: _number(said[name]) for name in _NUMBERS if name in said})
    rules = Rules(**values, budget=_budget(said["budget"]) if "budget" in said else None)
    require(rules)
    return rules


def _words(said: Any) -> tuple[str, ...]:
    if not isinstance(said, list) or len(said) > _MOST:
        raise ValueError
    return tuple(said)


def _number(said: Any) -> int:
    if not isinstance(said, int) or isinstance(said, bool):
        raise TypeError
    return said


def _budget(said: Any) -> Budget:
    amount, per = said["amount"], said["per"]
    if per not in get_args(Period) or not isinstance(amount, str) or len(said) != 2:
        raise ValueError
    try:
        return Budget(amount=Decimal(amount), per=per)
    except InvalidOperation:
        raise ValueError from None


def _is_word(entry: Any) -> bool:
    return isinstance(entry, str) and 0 < len(entry) <= _LONGEST and entry.isprintable() and " " not in entry
