"""Patients: a configuration, a state folder and a machine of a test's own."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from llmauth.config.settings import read_settings
from llmauth.doctor.patient import Patient, Running
from llmauth.platform import Machine, SimulatedMachine

Make = Callable[..., Patient]


@pytest.fixture
def patient(tmp_path: Path) -> Make:
    """A factory: `running` are proxies that are taken to run, the rest are sections of the configuration."""

    def make(
        environ: Mapping[str, str] | None = None,
        *,
        machine: Machine | None = None,
        running: tuple[Running, ...] | None = (),
        **sections: Any,
    ) -> Patient:
        file = tmp_path / "gateway.yaml"
        file.write_text(json.dumps({"server": {"port": 0}, **sections}))
        given = {"LLMAUTH_HOME": str(tmp_path / "home"), "HOME": str(tmp_path), **(environ or {})}
        made = Patient(settings=read_settings([file], given), machine=machine or SimulatedMachine(given))
        if running is not None:
            made.once("running", lambda: running)
        return made

    return make
