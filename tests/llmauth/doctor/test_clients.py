"""Where clients cannot be tried it is said why; and which host they are tried at. The trial itself is in tests/e2e."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from llmauth.ca import Authority
from llmauth.config.settings import ca_domains
from llmauth.doctor import clients
from llmauth.doctor.clients import examine, served, target_of
from llmauth.doctor.findings import Finding
from llmauth.doctor.patient import Running
from llmauth.doctor.stacks.stack import Program, Stack
from llmauth.secrets import Secret
from tests.llmauth.doctor.conftest import Make

RUNNING = (Running(process=7, host="127.0.0.1", port=1, tls_port=None, ca=""),)
BEDROCK, OPENAI = {"type": "bedrock", "region": "eu-west-1"}, {"type": "openai"}


def test_without_a_proxy_or_a_provider_nothing_is_started(patient: Make) -> None:
    (nobody,) = examine(patient(instances={"openai": OPENAI}))
    (nothing,) = examine(patient(running=RUNNING))
    (ended,) = examine(patient(running=RUNNING, instances={"openai": OPENAI}))
    assert nobody.what == "clients not tried; no proxy runs here: llmauth serve"
    assert nothing.what == "clients not tried; no provider's tunnel ends at this proxy"
    assert ended.verdict == "skip"


def test_one_is_started_only_where_that_makes_nothing_new(patient: Make) -> None:
    begun: list[int] = []

    @contextmanager
    def starts() -> Iterator[int]:
        begun.append(1)
        yield 4_000_000

    one = replace(patient(instances={"openai": OPENAI}), starts=starts)
    assert [found.verdict for found in examine(one)] == ["skip"]
    assert begun == []
    Authority.load_or_create(one.settings.ca.folder, ca_domains(one.settings), create=True)
    (found,) = examine(one)
    assert (begun, "has ended" in found.what) == ([1], True)


def test_the_host_is_openais_where_there_is_one(patient: Make) -> None:
    assert target_of(patient(instances={"b": BEDROCK, "openai": OPENAI})) == "api.openai.com"
    assert target_of(patient(instances={"b": BEDROCK})) == "bedrock-runtime.eu-west-1.amazonaws.com"
    assert target_of(patient(instances={"o": {**OPENAI, "base_url": "https://llm.test:8443/v1"}})) is None


def test_the_proxy_is_described_as_run_describes_it(patient: Make) -> None:
    told = served(patient(instances={"b": BEDROCK}), Secret("x"))
    assert told.authenticates
    assert told.serves("bedrock")
    assert not told.serves("openai")


def test_one_that_cannot_be_started_keeps_none_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def unable(*_: object) -> Finding:
        raise OSError(8, "Exec format error")

    monkeypatch.setattr(clients, "probed", unable)
    stack = Stack(name="curl", program=lambda _: Program(command=["curl"]))
    found = clients._one(stack, None, {})  # type: ignore[arg-type]
    assert found.what == "curl: cannot be started (Exec format error)"
