"""Whose rules count, and what they allow."""

from decimal import Decimal

import pytest

from llmauth.context import Identity
from llmauth.errors import Forbidden, HostNotServed, ModelNotAllowed
from llmauth.governance.demands import NANOS, Scope
from llmauth.governance.policy import Policies, Policy, judge, judge_model, uncertain, uncounted, unpriced
from llmauth.rules import NO_RULES, Budget, Rules

NOW = 1_800_000_000.0
ASK = "Ask whoever runs this gateway, or run: llmauth whoami"


def caller(rules: Rules = NO_RULES, *groups: str, user: str = "alice", name: str = "ci") -> Identity:
    return Identity(user=user, method="api_key", key_id="k1", key_name=name, groups=groups, rules=rules)


def only(**rules) -> Policies:
    return Policies(Policy(rules=Rules(**rules)))


def refused(policies: Policies, identity: Identity | None = None, **asked) -> Forbidden:
    identity = identity or caller()
    with pytest.raises(Forbidden) as caught:
        judge(identity, policies.allowance(identity), **{"now": NOW, **asked})
    return caught.value


def test_the_most_specific_counts_rule_by_rule():
    policies = Policies(
        Policy(rules=Rules(models=("default",), rpm=1, tpm=1, concurrent=1, hosts=("h",))),
        {
            "first": Policy(rules=Rules(rpm=2, tpm=2)),
            "second": Policy(rules=Rules(rpm=3, tpm=3, concurrent=3)),
        },
        {"alice": Policy(rules=Rules(rpm=4))},
    )
    found = policies.rules_for(caller(Rules(models=("own",)), "second", "first"))
    assert found == Rules(models=("own",), rpm=4, tpm=2, concurrent=3, hosts=("h",))
    assert policies.rules_for(caller(user="bob")).rpm == 1


def test_a_group_of_another_is_nobodys():
    policies = Policies(groups={"admins": Policy(rules=Rules(models=("*",)))}, default=Policy(rules=Rules(models=())))
    assert policies.rules_for(caller(NO_RULES, "admin", "Admins")).models == ()


def test_the_same_caller_has_the_same_allowance_and_few_are_remembered(monkeypatch):
    monkeypatch.setattr("llmauth.governance.policy._MOST_CALLERS", 3)
    policies = only(rpm=1)
    first = policies.allowance(caller())
    assert policies.allowance(caller()) is first
    for number in range(3):
        policies.allowance(caller(user=str(number)))
    assert len(policies._known) == 3


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (Rules(), [Scope(key="user:alice", rpm=10, concurrent=2)]),
        (Rules(rpm=5), [Scope(key="user:alice", rpm=10, concurrent=2), Scope(key="key:k1", rpm=5)]),
        (Rules(rpm=10), [Scope(key="user:alice", rpm=10, concurrent=2), Scope(key="key:k1", rpm=10)]),
        (Rules(rpm=11), [Scope(key="user:alice", concurrent=2), Scope(key="key:k1", rpm=11)]),
        (Rules(tpm=7), [Scope(key="user:alice", rpm=10, concurrent=2), Scope(key="key:k1", tpm=7)]),
        (Rules(rpm=11, concurrent=3), [Scope(key="key:k1", rpm=11, concurrent=3)]),
    ],
)
def test_a_keys_numbers_count_for_the_key_and_the_users_for_the_user(own, expected):
    assert list(only(rpm=10, concurrent=2).allowance(caller(own)).scopes) == expected


@pytest.mark.parametrize(
    ("amount", "per", "keys"),
    [(1, "day", ["user:alice", "key:k1"]), (11, "day", ["key:k1"]), (1, "hour", ["key:k1"]), (70, "month", 2)],
)
def test_budgets_of_other_periods_are_compared_by_the_hour(amount, per, keys):
    policies = only(budget=Budget(amount=Decimal(10), per="day"))
    found = policies.allowance(caller(Rules(budget=Budget(amount=Decimal(amount), per=per)))).scopes
    assert [scope.key for scope in found] == (["user:alice", "key:k1"] if keys == 2 else keys)
    assert found[-1].budget == amount * NANOS


def test_what_has_to_be_known_of_a_request():
    free = only().allowance(caller())
    assert (free.needs_model, free.counts_tokens, free.counts_money) == (False, False, False)
    assert free.scopes == ()
    assert not only(models=("a", "*")).allowance(caller()).needs_model
    bound = only(models=("a",), tpm=5, budget=Budget(amount=Decimal(1), per="day")).allowance(caller())
    assert bound.needs_model
    assert bound.counts_tokens
    assert bound.counts_money


@pytest.mark.parametrize(
    "names",
    [
        ("claude-haiku-4-5",),
        ("eu.anthropic.claude-haiku-4-5-20251001-v1:0",),
        ("cheap", "claude-haiku-4-5"),
        ("claude-haiku-4-5", "something"),
        (None, "claude-haiku-4-5"),
    ],
)
def test_a_model_is_allowed_by_one_of_its_names(names):
    policies = only(models=("claude-haiku*",))
    judge_model(caller(), policies.allowance(caller()), *names)


@pytest.mark.parametrize(
    "names",
    [
        *[(name,) for name in ("gpt-5", "CLAUDE-HAIKU", " claude-haiku", "claude-haiku-team/gpt-5", "x/gpt-5", "")],
        *[("claude-haiku" + "x" * 200,), (None, None), ()],
    ],
)
def test_any_other_model_is_not(names):
    policies = only(models=("claude-haiku*",))
    with pytest.raises(ModelNotAllowed) as caught:
        judge_model(caller(), policies.allowance(caller()), *names)
    assert (caught.value.status, caught.value.code) == (403, "model_not_allowed")
    assert "Allowed: claude-haiku*." in caught.value.sentence


def test_the_refusal_of_a_model_names_it_the_caller_and_what_is_allowed():
    with pytest.raises(ModelNotAllowed) as caught:
        judge_model(caller(), only(models=("a*", "b")).allowance(caller()), "gpt-5-pro")
    assert caught.value.sentence == (f"Model gpt-5-pro is not allowed for alice (key ci). Allowed: a*, b. {ASK}")


def test_what_only_reads_names_no_model():
    allowance = only(models=("a",)).allowance(caller())
    judge_model(caller(), allowance, lists=True)
    with pytest.raises(ModelNotAllowed):
        judge_model(caller(), allowance, "b", lists=True)


def test_a_key_in_the_place_of_a_model_is_not_repeated():
    """R1."""
    key = "llmauth_abcdefgh_" + "s" * 40
    with pytest.raises(ModelNotAllowed) as caught:
        judge_model(caller(), only(models=("a",)).allowance(caller()), key)
    assert "ssss" not in caught.value.sentence


def test_names_that_callers_make_up_fill_no_memory(monkeypatch):
    monkeypatch.setattr("llmauth.governance.policy._MOST_MODELS", 10)
    allowance = only(models=("a*",)).allowance(caller())
    assert not any(allowance.allows_model(f"b{number}") for number in range(100))
    assert len(allowance._judged) <= 10


@pytest.mark.parametrize(
    ("rules", "asked", "error", "sentence"),
    [
        (
            {"instances": ("azure", "openai")},
            {"instance": "bedrock"},
            Forbidden,
            f"The instance bedrock is not allowed for alice (key ci). Allowed: azure, openai. {ASK}",
        ),
        (
            {"protocols": ("openai",)},
            {"protocol": "transparent"},
            Forbidden,
            f"The protocol transparent is not allowed for alice (key ci). Allowed: openai. {ASK}",
        ),
        (
            {"methods": ("mtls",)},
            {},
            Forbidden,
            f"The method api_key is not allowed for alice (key ci). Allowed: mtls. {ASK}",
        ),
        (
            {"hosts": ("*.openai.com",)},
            {"host": "api.anthropic.com"},
            HostNotServed,
            f"The host api.anthropic.com is not allowed for alice (key ci). Allowed: *.openai.com. {ASK}",
        ),
        (
            {"instances": ()},
            {"instance": "openai"},
            Forbidden,
            f"The instance openai is not allowed for alice (key ci). Nothing is allowed. {ASK}",
        ),
    ],
)
def test_what_is_not_allowed_is_a_403_that_says_what_is(rules, asked, error, sentence):
    found = refused(only(**rules), **asked)
    assert type(found) is error
    assert (found.status, found.fault, found.sentence) == (403, "policy", sentence)


def test_what_is_not_asked_for_is_not_judged():
    everything = {"instances": ("a",), "protocols": ("openai",), "hosts": ("h",), "methods": ("api_key",)}
    judge(caller(), only(**everything).allowance(caller()), now=NOW)
    judge(caller(), only(**everything).allowance(caller()), instance="a", protocol="openai", host="H", now=NOW)


def test_nobody_elses_rules_are_told():
    policies = Policies(
        Policy(rules=Rules(instances=("a",))), users={"bob": Policy(rules=Rules(instances=("secret",)))}
    )
    assert "secret" not in refused(policies, instance="x").sentence


def test_many_entries_are_cut():
    sentence = refused(only(instances=tuple(f"i{n}" for n in range(50))), instance="x").sentence
    assert "i11, …" in sentence
    assert "i12" not in sentence


def test_a_policy_that_has_ended_allows_nothing():
    policies = Policies(groups={"g": Policy(rules=Rules(rpm=5), expires=NOW)})
    judge(caller(NO_RULES, "g"), policies.allowance(caller(NO_RULES, "g")), now=NOW - 1)
    assert refused(policies, caller(NO_RULES, "g")).message == "What alice (key ci) was allowed has ended."
    judge(caller(), policies.allowance(caller()), now=NOW)


def test_a_budget_of_a_policy_is_found():
    assert not only(rpm=1).budgeted()
    assert Policies(users={"a": Policy(rules=Rules(budget=Budget(amount=Decimal(1), per="day")))}).budgeted()


def test_refusals_of_what_cannot_be_told_or_counted_say_why_and_tell_no_rule_of_others():
    allowance = only(models=("claude-*",)).allowance(caller())
    assert "for certain" in uncertain(caller(), allowance).message
    assert "claude-*" in (uncertain(caller(), allowance).hint or "")
    assert "Model o3 has no price" in unpriced(caller(), None, "o3").message
    assert "names no model that has a price" in unpriced(caller()).message
    assert "later" in uncounted(caller()).message
    assert "hidden" not in unpriced(caller(), "llmauth_abcdefghij_hidden").message


def test_whose_rule_it_is_is_told_by_name():
    policies = Policies(
        Policy(rules=Rules(rpm=1, hosts=("h",))),
        {"first": Policy(rules=Rules(tpm=2)), "second": Policy(rules=Rules(tpm=3))},
        {"alice": Policy(rules=Rules(concurrent=4))},
    )
    who = caller(Rules(models=("own",)), "second", "first")
    told = [policies.origin(who, name) for name in ("models", "concurrent", "tpm", "hosts", "methods")]
    assert told == ["key ci", "user alice", "group first", "default", None]
