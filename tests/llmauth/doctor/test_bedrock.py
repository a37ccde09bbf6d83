"""What is told of the four actions: the line of the transcript, and nothing where nobody could ask."""

from __future__ import annotations

from typing import Any

import pytest

from llmauth.doctor import bedrock
from llmauth.doctor.bedrock import examine, model_of
from llmauth.gateway.permissions import ACTIONS, ANY_MODEL
from tests.llmauth.doctor.conftest import Make

INSTANCES = {"us": {"type": "bedrock", "region": "us-east-1"}}
READY = {"us": {"strategy": "environment"}}


def told(monkeypatch: pytest.MonkeyPatch, *states: str, reason: str = "") -> None:
    actions = [
        {"action": action, "state": state, "way": "probe", "reason": reason if state != "allowed" else ""}
        for action, state in zip(ACTIONS, states, strict=True)
    ]
    answer = {"principal": "arn:aws:iam::1:role/bedrock-proxy", "model": ANY_MODEL, "actions": actions}
    monkeypatch.setattr(bedrock, "permitted", lambda *_: answer)


def ready(patient: Make, **sections: Any) -> Any:
    one = patient(instances=INSTANCES, **sections)
    one.once("standing", lambda: READY)
    return one


def test_a_missing_action_is_told_with_what_it_means_and_the_policy(
    patient: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    told(monkeypatch, "allowed", "denied", "allowed", "allowed")
    found = list(examine(ready(patient)))
    assert [one.verdict for one in found] == ["ok", "fail", "ok", "ok"]
    assert found[1].what == "bedrock:InvokeModelWithResponseStream denied → streaming will fail"
    assert found[1].fix == "Add it to policy bedrock-proxy."


def test_a_model_without_access_and_an_unknown_answer_are_no_denial(
    patient: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    told(monkeypatch, "no_model_access", "unknown", "allowed", "allowed", reason="status 503")
    assert [one.verdict for one in examine(ready(patient))] == ["warn", "skip", "ok", "ok"]


def test_where_nobody_has_a_credential_or_an_answer_nothing_is_claimed(
    patient: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = patient(instances=INSTANCES)
    one.once("standing", lambda: {"us": {"strategy": None}})
    assert [found.verdict for found in examine(one)] == ["skip"]
    monkeypatch.setattr(bedrock, "permitted", lambda *_: None)
    assert [found.verdict for found in examine(ready(patient))] == ["skip"]
    assert [found.verdict for found in examine(patient())] == ["skip"]


def test_the_model_is_one_that_the_configuration_names(patient: Make) -> None:
    assert model_of(patient(instances=INSTANCES), "us") == ANY_MODEL
    models = {"claude-3": {"instance": "us", "model": "anthropic.claude-3-5-sonnet-20240620-v1:0"}}
    assert model_of(patient(instances=INSTANCES, models=models), "us") == models["claude-3"]["model"]
