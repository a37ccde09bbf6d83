"""Who answers for a model: the configuration's rules in their order, a prefix, and what the id itself tells."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from llmauth.context import ProviderType
from llmauth.errors import UnknownModel
from llmauth.providers import ALIASES, TYPES
from llmauth.providers.base import ProviderHandler
from llmauth.providers.inference_profiles import serves
from llmauth.routers.patterns import providers_of
from llmauth.storage.key_text import shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """An entry of `models:`: `name` is a name or a glob; without a `model` the name that was asked for is sent."""

    name: str
    instance: str
    model: str | None = None

    @property
    def is_glob(self) -> bool:
        """Whether this is a rule for many names."""
        return any(mark in self.name for mark in "*?[")

    def matches(self, model: str) -> bool:
        """Whether a name is meant."""
        return fnmatchcase(model, self.name) if self.is_glob else model == self.name


@dataclass(frozen=True, slots=True)
class Found:
    """Which instance answers, by what name it knows the model, and why."""

    instance: str
    model: str
    reason: str


class Catalogue:
    """Rules, and the instances behind them. Every answer is a pure function of the name."""

    def __init__(self, instances: Mapping[str, ProviderHandler], rules: Sequence[Rule] = ()) -> None:
        self._instances = instances
        self._rules = tuple(rules)
        self._exact = {rule.name: rule for rule in reversed(self._rules) if not rule.is_glob}

    def find(self, model: str) -> Found:
        """The first that holds: a rule, `instance/model` or `type/model`, the id's own form. UnknownModel otherwise."""
        found = self._by_rule(model) or self._by_prefix(model) or self._by_form(model)
        if found is None:
            raise self.unknown(model)
        return found

    def within(self, instance: str, model: str) -> Found:
        """The same where the path names the instance: only rules for that one count, and any other name is its own."""
        found = self._by_rule(model, instance)
        if found is not None:
            return found
        prefix, slash, rest = model.partition("/")
        if slash and prefix == instance and not self._begins_with_maker(instance, rest):
            return Found(instance, rest, "prefix of the instance")
        return Found(instance, model, "the instance of the path")

    def names(self) -> tuple[tuple[str, str], ...]:
        """The models that the configuration names, each with its instance: what a list of models shows."""
        named = {name: found.instance for name in self._exact if (found := self._by_rule(name)) is not None}
        for instance, handler in self._instances.items():
            for model in handler.models():
                named.setdefault(model, instance)
        return tuple(sorted(named.items()))

    def names_within(self, instance: str) -> tuple[str, ...]:
        """The same for one instance, whoever else has models of these names."""
        named = {rule.name for rule in self._rules if rule.instance == instance and not rule.is_glob}
        return tuple(sorted(named.union(self._instances[instance].models())))

    def serves(self, instance: str, model: str) -> bool:
        """Whether a model is known to be this instance's: by its names, a rule, a prefix, or the form of the id."""
        if model in self.names_within(instance) or self._by_rule(model, instance) is not None:
            return True
        own = self.within(instance, model).model
        return own != model or self._instances[instance].provider in providers_of(own)

    def known(self) -> frozenset[str]:
        """Every name of a model that the configuration gives, to callers or to providers: no caller makes one up."""
        sent = {self._instances[rule.instance].upstream(rule.model) for rule in self._rules if rule.model is not None}
        return frozenset(sent) | {name for name, _ in self.names()}

    def alias(self, model: str, provider: ProviderType) -> Found | None:
        """What an exact rule makes of a name, for an instance of this type: short names in the paths of an API."""
        rule = self._exact.get(model)
        if rule is None or rule.model is None or self._instances[rule.instance].provider != provider:
            return None
        return Found(rule.instance, rule.model, f"rule '{rule.name}'")

    def default(self, word: str, model: str) -> str | None:
        """The default instance of a type, or of those in a region that serves the model: never across geographies."""
        kind = ALIASES.get(word, word)
        if kind not in TYPES:
            return None
        fitting = [
            name
            for name, one in self._instances.items()
            if one.provider == kind and (kind != "bedrock" or serves(one.region, model))
        ]
        marked = (name for name in fitting if self._instances[name].options.default)
        return next(marked, fitting[0] if fitting else None)

    def unknown(self, model: str, instance: str | None = None) -> UnknownModel:
        """The refusal, with the names that are near; of those of an instance, where the path names one."""
        names = [name for name, _ in self.names()] if instance is None else list(self.names_within(instance))
        near = difflib.get_close_matches(model[:100], names, n=5, cutoff=0.5) or names[:10]
        hint = f"Known are: {', '.join(near)}." if near else "No model is named in the configuration."
        return UnknownModel(
            f"The model '{shown(model)}' is not known here.",
            hint=f"{hint} A model of an instance can be asked for as instance/model.",
            param="model",
        )

    def _by_rule(self, model: str, instance: str | None = None) -> Found | None:
        for rule in self._rules:
            if instance in (None, rule.instance) and rule.matches(model):
                return Found(rule.instance, rule.model or model, f"rule '{rule.name}'")
        return None

    def _by_prefix(self, model: str) -> Found | None:
        prefix, slash, rest = model.partition("/")
        if not slash or not rest:
            return None
        instance = prefix if prefix in self._instances else self.default(prefix, rest)
        if instance is None:
            return None
        kept = prefix == "ibm" and self._begins_with_maker(instance, rest)
        return Found(instance, model if kept else rest, f"prefix '{prefix}'")

    def _begins_with_maker(self, instance: str, rest: str) -> bool:
        """Ids of watsonx are `maker/name`, and IBM is one of the makers: `ibm/granite` is an id, and has no prefix."""
        return self._instances[instance].provider == "ibm" and "/" not in rest

    def _by_form(self, model: str) -> Found | None:
        for provider in providers_of(model):
            instance = self.default(provider, model)
            if instance is not None:
                return Found(instance, model, f"the form of its id: {provider}")
        return None


def unreachable(rules: Sequence[Rule]) -> list[tuple[Rule, Rule]]:
    """Rules that can never match, each with the earlier one that takes all of its names."""
    return [
        (later, earlier)
        for position, later in enumerate(rules)
        for earlier in [next((one for one in rules[:position] if _takes_all(one, later)), None)]
        if earlier is not None
    ]


# What a `*` may stand for, beside itself: nothing, and more than any number of `?` asks for.
_STANDING_FOR_ANY = ("*", "", "\0" * 1000)


def _takes_all(earlier: Rule, later: Rule) -> bool:
    return all(earlier.matches(later.name.replace("*", some)) for some in _STANDING_FOR_ANY)
