"""The files and their warnings, each with what to do about it."""

from __future__ import annotations

from llmauth.doctor.configuration import examine
from tests.llmauth.doctor.conftest import Make


def test_each_warning_becomes_a_finding_with_a_remedy(patient: Make) -> None:
    found = list(examine(patient(auth={"enabled": False})))
    assert found[0].verdict == "ok"
    assert "0 instances" in found[0].what
    fixes = {one.what.split(":")[0].split(",")[0]: one.fix for one in found[1:]}
    assert fixes["No instance is configured"] == "add one under `instances:`"
    assert fixes["Authentication is off"] == "auth: {enabled: true}"


def test_a_readable_configuration_without_warnings_is_one_line(patient: Make) -> None:
    (found,) = examine(patient(instances={"openai": {"type": "openai"}}))
    assert found.what.endswith("gateway.yaml; 1 instance)")
