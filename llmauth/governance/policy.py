"""Policies: whose rules count for a caller, and whether what is asked for is among what these allow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NoReturn

from llmauth.context import Identity
from llmauth.errors import Forbidden, HostNotServed, ModelNotAllowed
from llmauth.governance.demands import Scope
from llmauth.governance.model_names import Globs, names_of
from llmauth.rules import NO_RULES, Budget, Rules
from llmauth.storage.key_text import shown

# Ids are read up to this length: one that is as long may be the beginning of another.
_LONGEST_MODEL = 200
_SHOWN = 12
_MOST_CALLERS = 10_000
_MOST_MODELS = 1_000
_HOURS = {"hour": 1, "day": 24, "week": 168, "month": 720}


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Rules that hold until a moment (Unix time); afterwards those to whom they apply may do nothing."""

    rules: Rules = NO_RULES
    expires: float | None = None

    def over(self, other: Policy) -> Policy:
        """This one, and the other's where it says nothing."""
        expires = other.expires if self.expires is None else self.expires
        return Policy(rules=self.rules.over(other.rules), expires=expires)


class Allowance:
    """What one caller may do, ready to be asked, and whose numbers count for it: `scopes`.

    `needs_model` tells that a request must be known by its model before it is let through.
    """

    __slots__ = ("_hosts", "_judged", "_models", "expires", "needs_model", "rules", "scopes")

    def __init__(self, policy: Policy, scopes: tuple[Scope, ...]) -> None:
        rules = policy.rules
        self.rules = rules
        self.expires = policy.expires
        self.scopes = scopes
        self.needs_model = rules.models is not None and "*" not in rules.models
        self._models = Globs(rules.models or ())
        self._hosts = Globs(host.lower() for host in rules.hosts or ())
        self._judged: dict[str, bool] = {}

    @property
    def counts_tokens(self) -> bool:
        """Whether an estimate of tokens is of any use."""
        return any(scope.tpm is not None for scope in self.scopes)

    @property
    def counts_money(self) -> bool:
        """Whether an estimate of the cost is of any use."""
        return any(scope.budget is not None for scope in self.scopes)

    def allows_model(self, *names: str | None) -> bool:
        """Whether one of a model's names is allowed: that which was asked for, and that which its provider knows."""
        return not self.needs_model or any(name is not None and self._is_allowed(name) for name in names)

    def allows_host(self, host: str) -> bool:
        """Whether a provider's own host may be asked."""
        return self.rules.hosts is None or self._hosts.match(host.lower())

    def facts(self, *, counted: bool) -> dict[str, object]:
        """The same as plain values, for whom it is about; without `counted` nothing is limited by number."""
        rules, budget = self.rules, self.rules.budget if counted else None
        return {
            **{
                name: _listed(getattr(rules, name)) for name in ("models", "instances", "protocols", "hosts", "methods")
            },
            **{name: getattr(rules, name) if counted else None for name in ("rpm", "tpm", "concurrent")},
            "budget": None if budget is None else {"amount": str(budget.amount), "per": budget.per},
            "until": self.expires,
        }

    def _is_allowed(self, model: str) -> bool:
        found = self._judged.get(model)
        if found is None:
            if len(self._judged) >= _MOST_MODELS:  # a caller may make names up
                self._judged.clear()
            found = len(model) < _LONGEST_MODEL and self._models.match_any(names_of(model))
            self._judged[model] = found
        return found


class Policies:
    """The configuration's policies. Of a caller's own key, the user, groups and the default the most specific counts,
    rule by rule; of several groups the one that stands first in the file.
    """

    def __init__(
        self,
        default: Policy | None = None,
        groups: Mapping[str, Policy] | None = None,
        users: Mapping[str, Policy] | None = None,
        *,
        limits: bool = True,
    ) -> None:
        self._default = default or Policy()
        self._groups = dict(groups or {})
        self._users = dict(users or {})
        self._limits = limits
        self._known: dict[tuple[str, tuple[str, ...], str | None, Rules], Allowance] = {}

    def allowance(self, identity: Identity) -> Allowance:
        """What this caller may do. The same object for the same caller, as long as it is remembered."""
        key = (identity.user, identity.groups, identity.key_id, identity.rules)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _MOST_CALLERS:
                self._known.pop(next(iter(self._known)))
            found = self._known[key] = self._made(identity)
        return found

    def rules_for(self, identity: Identity) -> Rules:
        """The rules that count for this caller, all in one."""
        return self.allowance(identity).rules

    def budgeted(self) -> bool:
        """Whether a policy has a budget, which means nothing without prices."""
        every = (self._default, *self._groups.values(), *self._users.values())
        return any(policy.rules.budget is not None for policy in every)

    def origin(self, identity: Identity, rule: str) -> str | None:
        """Whose rules say something of this, as people call them; None where nobody's do."""
        groups = [(f"group {name}", policy.rules) for name, policy in self._groups.items() if name in identity.groups]
        user = self._users.get(identity.user, Policy()).rules
        key = f"key {identity.key_name or identity.key_id}"
        every = [(key, identity.rules), (f"user {identity.user}", user), *groups, ("default", self._default.rules)]
        return next((name for name, rules in every if getattr(rules, rule) is not None), None)

    def _made(self, identity: Identity) -> Allowance:
        of_user = self._of_user(identity)
        policy = Policy(rules=identity.rules).over(of_user)
        return Allowance(policy, _scopes(identity, of_user.rules) if self._limits else ())

    def _of_user(self, identity: Identity) -> Policy:
        found = self._users.get(identity.user, Policy())
        for name, policy in self._groups.items():
            if name in identity.groups:
                found = found.over(policy)
        return found.over(self._default)


def judge(
    identity: Identity,
    allowance: Allowance,
    *,
    instance: str | None = None,
    protocol: str | None = None,
    host: str | None = None,
    now: float,
) -> None:
    """Forbidden or HostNotServed for what can be judged before the body is read. None stands for what is not asked for.

    `protocol` is `openai`, `anthropic`, or `transparent` for a provider's own API; `host` is a native host, for a
    request that was addressed to it; `now` is Unix time.
    """
    rules = allowance.rules
    if allowance.expires is not None and now >= allowance.expires:
        raise Forbidden(f"What {_who(identity)} was allowed has ended.", hint=_ASK, detail="policy: expires")
    if rules.methods is not None and identity.method not in rules.methods:
        _refuse(f"The method {identity.method} is not allowed for {_who(identity)}.", rules.methods, "methods")
    if rules.instances is not None and instance is not None and instance not in rules.instances:
        _refuse(f"The instance {instance} is not allowed for {_who(identity)}.", rules.instances, "instances")
    if rules.protocols is not None and protocol is not None and protocol not in rules.protocols:
        _refuse(f"The protocol {protocol} is not allowed for {_who(identity)}.", rules.protocols, "protocols")
    if host is not None and not allowance.allows_host(host):
        message = f"The host {host} is not allowed for {_who(identity)}."
        raise HostNotServed(message, hint=_allowed(rules.hosts or ()), detail="policy: hosts")


def judge_model(identity: Identity, allowance: Allowance, *names: str | None, lists: bool = False) -> None:
    """ModelNotAllowed where the caller's rules name models, and none of this one's names is among them.

    `names` are that which was asked for and that which the provider knows; without any, the request is let through
    only if it `lists`: if it reads, and no model works by it.
    """
    if allowance.allows_model(*names) or (lists and not any(names)):
        return
    name = next((name for name in names if name), None)
    if name is None:
        message = f"This request names no model, and {_who(identity)} may use only some."
    else:
        message = f"Model {shown(name)} is not allowed for {_who(identity)}."
    raise ModelNotAllowed(message, hint=_allowed(allowance.rules.models or ()), detail="policy: models")


def uncertain(identity: Identity, allowance: Allowance) -> ModelNotAllowed:
    """The refusal of what could mean another model than those that it names: a body that cannot be read, for one."""
    message = f"Which models this request means cannot be told for certain, and {_who(identity)} may use only some."
    return ModelNotAllowed(message, hint=_allowed(allowance.rules.models or ()), detail="policy: models")


def unpriced(identity: Identity, *names: str | None) -> ModelNotAllowed:
    """The refusal of a model without a price to a caller with a budget."""
    name = next((name for name in names if name), None)
    which = "This request names no model that has a price" if name is None else f"Model {shown(name)} has no price"
    message = f"{which}, and the budget of {_who(identity)} could not be counted."
    return ModelNotAllowed(message, hint=_ASK, detail="policy: budget")


def uncounted(identity: Identity) -> ModelNotAllowed:
    """The refusal of what is answered later, to a caller with a budget."""
    message = f"What a model does later passes nobody here, and the budget of {_who(identity)} could not be counted."
    return ModelNotAllowed(message, hint="Ask the model at once, without a batch or a job.", detail="policy: budget")


def _scopes(identity: Identity, of_user: Rules) -> tuple[Scope, ...]:
    """A key's own numbers count for that key, and the user's for the user; but a key with a higher number than its
    user's was given it to exceed that one.
    """
    own = identity.rules
    kept = replace(
        of_user,
        rpm=_unless_raised(own.rpm, of_user.rpm),
        tpm=_unless_raised(own.tpm, of_user.tpm),
        concurrent=_unless_raised(own.concurrent, of_user.concurrent),
        budget=_unless_budget_raised(own.budget, of_user.budget),
    )
    found = [Scope.of(f"user:{identity.user}", kept)]
    if identity.key_id is not None:
        found.append(Scope.of(f"key:{identity.key_id}", own))
    return tuple(scope for scope in found if scope is not None)


def _unless_raised(own: int | None, of_user: int | None) -> int | None:
    return None if own is not None and of_user is not None and own > of_user else of_user


def _unless_budget_raised(own: Budget | None, of_user: Budget | None) -> Budget | None:
    if own is None or of_user is None:
        return of_user
    return None if own.amount / _HOURS[own.per] > of_user.amount / _HOURS[of_user.per] else of_user


def _listed(entries: tuple[str, ...] | None) -> list[str] | None:
    return None if entries is None else list(entries)


def _refuse(message: str, allowed: Iterable[str], rule: str) -> NoReturn:
    raise Forbidden(message, hint=_allowed(allowed), detail=f"policy: {rule}")


_ASK = "Ask whoever runs this gateway, or run: llmauth whoami"


def _allowed(entries: Iterable[str]) -> str:
    """What this caller's own rules allow; nobody else's are told."""
    listed = list(_first(entries, _SHOWN + 1))
    if not listed:
        return f"Nothing is allowed. {_ASK}"
    more = ", …" if len(listed) > _SHOWN else ""
    return f"Allowed: {', '.join(listed[:_SHOWN])}{more}. {_ASK}"


def _first(entries: Iterable[str], count: int) -> Iterator[str]:
    return (entry for entry, _ in zip(entries, range(count), strict=False))


def _who(identity: Identity) -> str:
    named = identity.key_name not in (None, identity.user)
    return f"{identity.user} (key {identity.key_name})" if named else identity.user
