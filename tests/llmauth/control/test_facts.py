"""How credentials stand, as plain values: with times from now, and a reason for each strategy that is not in use."""

from __future__ import annotations

import json

from llmauth.control import facts
from llmauth.credentials.status import InstanceStatus, Mishap, Rehearsal, StrategyStatus
from llmauth.platform import Platform

NOW = 1000.0
STRATEGIES = (
    StrategyStatus(label="workload_identity (aws)", active=False, reason="not on aks", asked_at=990.0, retry_in=4.4),
    StrategyStatus(label="vault (hashicorp)", active=True, asked_at=995.0),
    StrategyStatus(label="kubernetes_secret", active=False),
)


def test_an_instance_that_has_a_credential():
    status = InstanceStatus(
        state="ready",
        strategy="vault (hashicorp)",
        expires_at=4600.0,
        loaded_at=995.0,
        renews_at=3880.0,
        source="hashicorp:aws/sts/x",
        degraded=True,
        mishap=Mishap(strategy="vault (hashicorp)", reason="sealed", at=900.0),
        strategies=STRATEGIES,
    )
    told = facts.of_instances({"one": status}, NOW)["one"]
    assert (told["expires_in"], told["loaded_ago"], told["renews_in"], told["degraded"]) == (3600, 5, 2880, True)
    assert told["last_error"] == {"strategy": "vault (hashicorp)", "reason": "sealed", "ago": 100}
    assert [(one["strategy"], one["standing"], one["reason"]) for one in told["strategies"]] == [
        ("workload_identity (aws)", "not_used", "not on aks"),
        ("vault (hashicorp)", "active", None),
        ("kubernetes_secret", "standby", "stands by: vault (hashicorp) comes first and has a credential"),
    ]
    assert told["strategies"][0]["retry_in"] == 4
    json.dumps(told)


def test_one_that_has_none():
    told = facts.of_instances({"one": InstanceStatus(state="pending", strategies=STRATEGIES[2:])}, NOW)["one"]
    assert (told["state"], told["strategy"], told["expires_in"], told["last_error"]) == ("pending", None, None, None)
    assert told["strategies"][0]["reason"] is None


def test_what_has_ended_is_over_and_not_before():
    told = facts.of_instances({"one": InstanceStatus(state="pending", expires_at=10.0)}, NOW)["one"]
    assert told["expires_in"] == 0


def test_the_platform_and_a_rehearsal():
    platform = Platform(name="eks", workload=frozenset({"aws"}), signals=("AWS_ROLE_ARN",), forced=True)
    assert facts.of_platform(platform) == {
        "name": "eks",
        "features": ["aws_workload_identity"],
        "signals": ["AWS_ROLE_ARN"],
        "forced": True,
    }
    told = Rehearsal(instance="i", before="a", after=None, took=0.12345, expires_at=None, standby=STRATEGIES[:1])
    assert facts.of_rehearsal(told, NOW) == {
        "instance": "i",
        "before": "a",
        "after": None,
        "took": 0.123,
        "expires_in": None,
        "standby": [{"strategy": "workload_identity (aws)", "reason": "not on aks"}],
    }
