"""VPC endpoints: private and answering, private and silent, public, unknown, or private where that is not allowed."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from llmauth.demo.emulators import Emulators
from llmauth.doctor.pod import endpoints
from llmauth.outbound import Answer
from llmauth.platform.simulated import simulated
from tests.llmauth.doctor.conftest import Make

RUNTIME, STS = "bedrock-runtime.us-east-1.amazonaws.com", "sts.us-east-1.amazonaws.com"
BEDROCK = {"bedrock": {"type": "bedrock"}}


@pytest.fixture(scope="module")
def providers() -> Iterator[Emulators]:
    with Emulators(pace=0.001, tokens=4) as emulators:
        yield emulators


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What names lead to; every other one is unknown."""
    known: dict[str, str] = {}

    def lookup(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        if host not in known and host != "127.0.0.1":
            raise socket.gaierror("unknown")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (known.get(host, host), port))]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    return known


def upstream(providers: Emulators, **more: Any) -> dict[str, Any]:
    return {"ca_file": str(providers.ca_file), "resolve": {RUNTIME: providers.resolve[RUNTIME]}, **more}


def test_an_endpoint_that_answers_tells_for_which_host_is_signed(patient: Make, providers: Emulators) -> None:
    one = patient(machine=simulated("kubernetes", {}), instances=BEDROCK, upstream=upstream(providers))
    sts, runtime = endpoints.examine(one)
    assert (runtime.verdict, runtime.what) == ("ok", f"bedrock-runtime VPC endpoint (signing host {RUNTIME})")
    assert sts.verdict == "skip"  # without IRSA nobody asks it


def test_what_leads_out_is_warned_of(patient: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "addresses_of", lambda place: ["8.8.8.8"])
    monkeypatch.setattr(endpoints, "_asked", lambda outbound, place: f"{place.host} did not answer within 5 s")
    found = list(endpoints.examine(patient(machine=simulated("eks", {}), instances=BEDROCK)))
    assert [each.verdict for each in found] == ["warn", "warn"]
    assert f"no sts VPC endpoint: {STS} is public (8.8.8.8), and cannot be asked" in found[0].what
    assert "--service-name com.amazonaws.us-east-1.sts" in (found[0].fix or "")


def test_a_name_that_nobody_knows_is_a_fault(patient: Make, resolver: dict[str, str]) -> None:
    found = list(endpoints.examine(patient(machine=simulated("eks", {}), instances=BEDROCK)))
    assert [each.verdict for each in found] == ["fail", "fail"]
    assert f"DNS does not know {STS}" in found[0].what


def test_a_private_endpoint_that_is_silent_names_its_security_group(patient: Make, resolver: dict[str, str]) -> None:
    resolver.update({STS: "127.0.0.1", RUNTIME: "127.0.0.1"})
    found = list(endpoints.examine(patient(machine=simulated("eks", {}), instances=BEDROCK)))
    assert all(each.verdict == "fail" and "security group" in (each.fix or "") for each in found)


def test_an_endpoint_that_the_configuration_does_not_let_be_private_is_a_fault(
    patient: Make, providers: Emulators, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = patient(machine=simulated("kubernetes", {}), instances=BEDROCK)
    monkeypatch.setattr(endpoints, "addresses_of", lambda place: ["10.0.3.7"])
    monkeypatch.setattr(endpoints, "_asked", lambda outbound, place: Answer(status=403, body=b""))
    runtime = list(endpoints.examine(one))[-1]
    assert runtime.fix == f"upstream: {{allow_private: [{RUNTIME}]}}"
    allowed = patient(machine=simulated("kubernetes", {}), instances=BEDROCK, upstream={"allow_private": [RUNTIME]})
    assert list(endpoints.examine(allowed))[-1].verdict == "ok"
