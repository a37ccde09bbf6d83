"""The credential of each instance: by a proxy that runs, or found here; accepted, refused, or not there at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from llmauth.demo.emulators import Emulators
from llmauth.doctor import patient as asking
from llmauth.doctor.credentials import examine
from llmauth.doctor.patient import Running
from tests.llmauth.doctor.conftest import Make

STRATEGIES = [{"type": "environment"}, {"type": "keyring", "username": "nobody-of-this-name"}]
INSTANCES = {"openai": {"type": "openai", "authentication": {"strategies": STRATEGIES}}}
RUNNING = (Running(process=1, host="127.0.0.1", port=1, tls_port=None, ca=""),)


@pytest.fixture(scope="module")
def providers() -> Iterator[Emulators]:
    with Emulators(pace=0.001, tokens=4) as emulators:
        yield emulators


def upstream(providers: Emulators) -> dict[str, Any]:
    return {"ca_file": str(providers.ca_file), "resolve": providers.resolve}


def test_without_a_proxy_each_source_is_asked_here(patient: Make, providers: Emulators) -> None:
    environ = {"OPENAI_API_KEY": providers.credentials.openai_key}
    found = list(examine(patient(environ, instances=INSTANCES, upstream=upstream(providers))))
    assert [one.what for one in found] == ["openai by environment", "openai: GET /v1/models → 200"]


def test_a_key_that_its_provider_refuses_is_a_fault_and_never_shown(patient: Make, providers: Emulators) -> None:
    environ = {"OPENAI_API_KEY": "sk-canary-7f3a"}
    found = list(examine(patient(environ, instances=INSTANCES, upstream=upstream(providers))))
    assert [one.verdict for one in found] == ["ok", "fail"]
    assert found[1].fix == "llmauth secret set openai"
    assert "canary" not in str(found)


def test_an_instance_without_one_tells_each_strategys_reason(patient: Make) -> None:
    (found,) = examine(patient(instances=INSTANCES))
    assert (found.verdict, found.fix) == ("fail", "llmauth secret set openai")
    assert "environment: " in found.what


def test_a_key_is_kept_where_the_instance_looks(patient: Make) -> None:
    (found,) = examine(patient(instances={"openai": {"type": "openai"}}))
    setting = "instances: {openai: {authentication: {strategies: [{type: keyring}]}}}"
    assert found.fix == f"{setting}, then llmauth secret set openai"


def running(monkeypatch: pytest.MonkeyPatch, answers: Mapping[str, Any]) -> None:
    monkeypatch.setattr(asking, "asked", lambda home, process, question: answers[question["ask"]])


@pytest.mark.parametrize(
    ("left", "degraded", "verdict", "said"),
    [
        (3700, False, "ok", "ends in 1 h 01 min"),
        (200, False, "warn", "ends in 3 min"),
        (3700, True, "warn", "its renewal fails"),
    ],
)
def test_a_running_proxy_is_believed(
    patient: Make, monkeypatch: pytest.MonkeyPatch, left: int, degraded: bool, verdict: str, said: str
) -> None:
    instance = {"strategy": "vault (hashicorp)", "expires_in": left, "degraded": degraded, "strategies": []}
    accepted = {"outcome": "forbidden", "call": "GET /v1/models", "status": 403, "reason": ""}
    running(monkeypatch, {"credentials": {"instances": {"openai": instance}}, "check": {"accepted": accepted}})
    found = list(examine(patient(instances=INSTANCES, running=RUNNING)))
    assert (found[0].verdict, said in found[0].what) == (verdict, True)
    assert (found[1].verdict, found[1].what) == ("ok", "openai: known to its provider (GET /v1/models → 403)")


@pytest.mark.parametrize(
    ("outcome", "verdict"), [("refused", "fail"), ("untold", "warn"), ("unreached", "warn"), ("untried", "skip")]
)
def test_each_answer_of_a_provider_has_its_verdict(
    patient: Make, monkeypatch: pytest.MonkeyPatch, outcome: str, verdict: str
) -> None:
    instance: dict[str, Any] = {"strategy": "file", "expires_in": None, "degraded": False, "strategies": []}
    told = {"outcome": outcome, "call": "GET /v1/models", "status": 401, "reason": "why"}
    running(monkeypatch, {"credentials": {"instances": {"openai": instance}}, "check": {"accepted": told}})
    assert list(examine(patient(instances=INSTANCES, running=RUNNING)))[1].verdict == verdict


def test_an_older_proxy_that_knows_no_check_is_told_as_that(patient: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    instance: dict[str, Any] = {"strategy": "file", "expires_in": None, "degraded": False, "strategies": []}
    running(monkeypatch, {"credentials": {"instances": {"openai": instance}}, "check": {}})
    assert list(examine(patient(instances=INSTANCES, running=RUNNING)))[1].verdict == "skip"
