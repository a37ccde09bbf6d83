"""The memory of a pod against what bodies may take together."""

from __future__ import annotations

import pytest

from llmauth.doctor.pod.memory import examine
from llmauth.platform import SimulatedMachine
from tests.llmauth.doctor.conftest import Make

MIB = 1024 * 1024
MAX, CURRENT = "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"


@pytest.mark.parametrize(
    ("limit", "used", "verdict", "fix"),
    [
        ("max", "1", "skip", ""),
        (str(2048 * MIB), str(100 * MIB), "ok", ""),
        (str(512 * MIB), str(100 * MIB), "warn", "limits: {buffered_bytes: 320MiB}"),
        (str(2048 * MIB), str(2000 * MIB), "warn", "resources:"),
        (str(128 * MIB), "1", "fail", "resources: {limits: {memory: 512Mi}}"),
    ],
)
def test_a_limit_that_would_kill_the_pod_is_told(patient: Make, limit: str, used: str, verdict: str, fix: str) -> None:
    (found,) = examine(patient(machine=SimulatedMachine({}, {MAX: limit, CURRENT: used})))
    assert (found.verdict, fix in (found.fix or "")) == (verdict, True)


def test_a_configuration_that_fits_is_well(patient: Make) -> None:
    machine = SimulatedMachine({}, {MAX: str(512 * MIB)})
    (found,) = examine(patient(machine=machine, limits={"buffered_bytes": "256MiB"}))
    assert (found.verdict, found.what) == ("ok", "memory limit 512 MiB")
