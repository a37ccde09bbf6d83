"""Open files: enough for the connections that are configured, or the number that would be."""

from __future__ import annotations

import resource

import pytest

from llmauth.doctor import limits
from tests.llmauth.doctor.conftest import Make


@pytest.mark.parametrize(("hard", "verdict"), [(1024, "warn"), (1_048_576, "ok"), (resource.RLIM_INFINITY, "ok")])
def test_the_limit_is_held_against_the_configured_connections(
    patient: Make, monkeypatch: pytest.MonkeyPatch, hard: int, verdict: str
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, hard))
    (found,) = limits.examine(patient(limits={"connections": 2000}))
    assert found.verdict == verdict
    if verdict == "warn":
        assert "ulimit -n 4128" in (found.fix or "")
