"""The certificate authority: none, one that is well, one that ends, one that is open to others, one of yesterday."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from llmauth.ca import Authority
from llmauth.clock import ManualClock
from llmauth.config.settings import ca_domains
from llmauth.doctor.authority import examine
from llmauth.doctor.patient import Patient, Running
from tests.llmauth.doctor.conftest import Make

INSTANCES = {"openai": {"type": "openai"}}


def made(one: Patient, *, days_ago: float = 0) -> Authority:
    clock = ManualClock(wall=time.time() - days_ago * 86_400)
    return Authority.load_or_create(one.settings.ca.folder, ca_domains(one.settings), create=True, clock=clock)


def test_without_one_nothing_is_made(patient: Make) -> None:
    one = patient(instances=INSTANCES)
    assert [found.verdict for found in examine(one)] == ["skip"]
    assert not one.settings.ca.folder.exists()


def test_where_none_may_be_made_its_absence_is_a_fault(patient: Make) -> None:
    (found,) = examine(patient(instances=INSTANCES, ca={"create": False}))
    assert found.verdict == "fail"
    assert "mount the secret that holds ca-key.pem" in (found.fix or "")


def test_one_that_is_well_tells_its_days_and_its_fingerprint(patient: Make) -> None:
    one = patient(instances=INSTANCES)
    authority = made(one)
    told = [found.what for found in examine(one)]
    assert told[0] == f"CA valid {authority.days_left()} d, constrained"
    assert told[2].startswith(f"CA SHA-256 {authority.fingerprint()[:11]}")


@pytest.mark.parametrize(("days_ago", "verdict"), [(340, "warn"), (400, "fail")])
def test_an_end_is_told_before_it_comes(patient: Make, days_ago: float, verdict: str) -> None:
    one = patient(instances=INSTANCES)
    made(one, days_ago=days_ago)
    first = next(iter(examine(one)))
    assert (first.verdict, "llmauth ca rotate" in (first.fix or "")) == (verdict, True)


def test_a_host_that_it_may_not_sign_is_named(patient: Make) -> None:
    made(patient(instances=INSTANCES))
    later = patient(instances={**INSTANCES, "own": {"type": "openai", "base_url": "https://llm.corp.test/v1"}})
    assert [found.what for found in examine(later) if found.verdict == "fail"] == ["CA may not sign llm.corp.test"]


def test_a_key_that_others_may_read_is_told_with_the_command(patient: Make) -> None:
    one = patient(instances=INSTANCES)
    made(one)
    key = one.settings.ca.folder / "ca-key.pem"
    key.chmod(0o644)
    (found,) = examine(one)
    assert (found.verdict, found.fix) == ("fail", f"chmod 600 '{key}'")


def test_a_process_that_signs_with_another_and_a_stale_file_are_told(patient: Make) -> None:
    running = Running(process=os.getpid(), host="127.0.0.1", port=1, tls_port=None, ca="00:11")
    one = patient(instances=INSTANCES, running=(running,))
    made(one)
    Path(one.settings.ca.folder / "ca.pem").write_text("of yesterday")
    found = [each for each in examine(one) if each.verdict in ("warn", "fail")]
    assert [each.verdict for each in found] == ["warn", "fail"]
    assert "llmauth ca export" in (found[0].fix or "")
    assert f"process {os.getpid()} still signs with another CA" in found[1].what
