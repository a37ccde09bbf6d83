"""What strategies share: time spans, moments, options that repeat nothing, and libraries that stay quiet."""

from __future__ import annotations

import logging

import pytest
from pydantic import BaseModel, ValidationError

from llmauth.credentials.base import Options, Seconds, Surroundings, moment, quiet_libraries
from llmauth.platform import SimulatedMachine


class Interval(BaseModel):
    every: Seconds


@pytest.mark.parametrize(("written", "seconds"), [("2s", 2), ("90m", 5400), ("12h", 43200), (7, 7)])
def test_time_spans(written: object, seconds: float) -> None:
    assert Interval.model_validate({"every": written}).every == seconds


@pytest.mark.parametrize("written", ["soon", 0, -1, "0s", None])
def test_what_is_no_time_span(written: object) -> None:
    with pytest.raises(ValidationError):
        Interval.model_validate({"every": written})


def test_option_errors_do_not_repeat_the_input() -> None:
    """R2: somebody may have written the key where its name belongs."""
    with pytest.raises(ValidationError) as caught:
        Options.model_validate({"variabel": "canary-7f3a"})
    assert "canary" not in str(caught.value)


def test_moments_without_a_zone_are_utc() -> None:
    assert moment("2027-01-15T08:00:00Z") == moment("2027-01-15T08:00:00") == moment("2027-01-15T09:00:00+01:00")


def test_libraries_stay_quiet_at_debug_level() -> None:
    quiet_libraries()
    for name in (
        "botocore.auth",
        "urllib3.connectionpool",
        "keyring.backend",
        "azure.identity",
        "google.auth",
        "msal",
        "hvac",
    ):
        assert not logging.getLogger(name).isEnabledFor(logging.INFO)


def test_the_environment_is_the_machines() -> None:
    assert Surroundings(machine=SimulatedMachine({"A": "b"})).environ == {"A": "b"}
