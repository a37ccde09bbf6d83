"""What is said of a configuration that was read again."""

from __future__ import annotations

import pytest

from addons.launch.verdicts import REFUSED, tell, why_not
from llmauth.config.problems import ConfigError, Place, Problem


def test_every_fault_is_told_with_its_place(caplog: pytest.LogCaptureFixture) -> None:
    faults = [Problem(place=Place(source="c.yaml", line=line), path="a.b", message="wrong") for line in (2, 7)]
    answer = why_not(ConfigError(faults))
    assert [(one["file"], one["line"], one["path"]) for one in answer["problems"]] == [
        ("c.yaml", 2, "a.b"),
        ("c.yaml", 7, "a.b"),
    ]
    tell(answer, "SIGHUP")
    (record,) = caplog.records
    assert (record.message, vars(record)["asked_by"]) == (REFUSED, "SIGHUP")
    assert vars(record)["faults"] == ["c.yaml:2: a.b: wrong", "c.yaml:7: a.b: wrong"]


def test_the_text_of_an_error_that_is_not_ours_is_not_told() -> None:
    try:
        raise RuntimeError("sk-canary")
    except RuntimeError as error:
        answer = why_not(error)
    assert (answer["ok"], "canary" in answer["why"]) == (False, False)


def test_what_needs_a_restart_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    tell({"ok": True, "changed": ["limits.a"], "restart": ["server.port"], "warnings": ["Mind the gap."]}, "x")
    assert [(one.levelname, one.message) for one in caplog.records] == [
        ("INFO", "The configuration was taken over"),
        ("WARNING", "Some of the configuration needs a restart"),
        ("WARNING", "Mind the gap."),
    ]
