"""The sections `policies` and `prices`: what callers may do and how much of it, and what tokens cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from llmauth.authenticators import METHODS
from llmauth.config.limits import Count
from llmauth.config.loader import validate
from llmauth.config.problems import Place, Problem
from llmauth.config.reader import read_document
from llmauth.config.sections import Section
from llmauth.config.tree import Node
from llmauth.governance.demands import MOST_MONEY, MOST_PER_MINUTE
from llmauth.governance.policy import Policies, Policy
from llmauth.governance.prices import Price
from llmauth.rules import Budget, Period, Rules
from llmauth.storage.key_text import PREFIX

# Of these a caller is known whose rules name methods; sessions are there wherever keys are.
_METHODS = (*METHODS, "session")


def _word(value: object) -> object:
    if isinstance(value, str):
        if not value.strip() or not value.isprintable():
            raise ValueError("empty, or it holds what cannot be printed")
        if PREFIX in value:
            raise ValueError("a key of this gateway, where a name is wanted")
    return value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _method(value: str) -> str:
    if value not in _METHODS:
        raise ValueError(f"no method of authentication; known are {', '.join(_METHODS)}")
    return value


def _money(value: object) -> object:
    if isinstance(value, bool):  # Python counts `true` as 1
        raise ValueError("not an amount of money")
    return value


def _end(value: object) -> datetime:
    """A moment, in UTC unless it says otherwise; a day ends when it is over."""
    try:
        if isinstance(value, str) and len(value) == len("2027-01-31"):
            return datetime.combine(date.fromisoformat(value), datetime.min.time(), UTC) + timedelta(days=1)
        moment = datetime.fromisoformat(str(value))
    except (ValueError, OverflowError):
        raise ValueError("not a day such as 2027-01-31, or a moment such as 2027-01-31T18:00:00Z") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


Word = Annotated[str, BeforeValidator(_word), Field(min_length=1, max_length=200)]
Words = tuple[Word, ...]
PerMinute = Annotated[Count, Field(le=MOST_PER_MINUTE)]
Money = Annotated[Decimal, BeforeValidator(_money), Field(gt=0, le=MOST_MONEY, allow_inf_nan=False)]
PriceOfTokens = Annotated[Decimal, BeforeValidator(_money), Field(ge=0, le=1_000_000, allow_inf_nan=False)]


class BudgetSection(Section):
    """So much money in each hour, day, week or month of the calendar (UTC)."""

    amount: Money
    per: Period = "day"


class PolicySection(Section):
    """The rules of everybody, of a group's members, or of one user. What is not written is left to the next."""

    models: Words | None = None
    instances: Words | None = None
    protocols: tuple[Literal["openai", "anthropic", "transparent"], ...] | None = None
    hosts: tuple[Annotated[Word, BeforeValidator(_lower)], ...] | None = None
    methods: tuple[Annotated[Word, AfterValidator(_method)], ...] | None = None
    rpm: PerMinute | None = None
    tpm: PerMinute | None = None
    concurrent: PerMinute | None = None
    budget: BudgetSection | None = None
    expires: Annotated[datetime | None, BeforeValidator(lambda value: None if value is None else _end(value))] = None

    def counts(self) -> bool:
        """Whether anything is limited by number."""
        return (self.rpm, self.tpm, self.concurrent, self.budget) != (None, None, None, None)

    def policy(self) -> Policy:
        """The same for those who judge by it."""
        budget = None if self.budget is None else Budget(amount=self.budget.amount, per=self.budget.per)
        rules = Rules(
            models=self.models,
            instances=self.instances,
            protocols=self.protocols,
            hosts=self.hosts,
            methods=self.methods,
            rpm=self.rpm,
            tpm=self.tpm,
            concurrent=self.concurrent,
            budget=budget,
        )
        return Policy(rules=rules, expires=None if self.expires is None else self.expires.timestamp())


class PoliciesSection(Section):
    """Whose rules are which; `limits` turns off all that is counted, and leaves what is allowed."""

    limits: bool = True
    default: PolicySection = PolicySection()
    groups: Mapping[Word, PolicySection] = {}
    users: Mapping[Word, PolicySection] = {}

    def every(self) -> Iterable[tuple[tuple[str, ...], PolicySection]]:
        """Each policy with the way to it."""
        yield ("default",), self.default
        yield from ((("groups", name), one) for name, one in self.groups.items())
        yield from ((("users", name), one) for name, one in self.users.items())

    def policies(self) -> Policies:
        """The same for those who judge by it."""
        groups = {name: one.policy() for name, one in self.groups.items()}
        users = {name: one.policy() for name, one in self.users.items()}
        return Policies(self.default.policy(), groups, users, limits=self.limits)


class PriceSection(Section):
    """Money for a million tokens of each kind."""

    input: PriceOfTokens
    output: PriceOfTokens = Decimal(0)
    cache_read: PriceOfTokens | None = None
    cache_write: PriceOfTokens | None = None
    reasoning: PriceOfTokens | None = None


class PriceFile(Section):
    """A price table, as the file holds it under no heading at all."""

    prices: Mapping[Word, PriceSection]


def read_prices(file: Path | None, environ: Mapping[str, str]) -> Mapping[str, Price]:
    """The prices of a file, in its order. ConfigError, with every fault and its line, for what is none."""
    if file is None:
        return {}
    problems: list[Problem] = []
    tree = read_document(file, environ, problems) or Node(value={}, place=Place(source=str(file)))
    whole = Node(value={"prices": tree}, place=tree.place)
    found = validate(whole, PriceFile, problems)
    return {model: Price(**dict(one)) for model, one in found.prices.items()}
