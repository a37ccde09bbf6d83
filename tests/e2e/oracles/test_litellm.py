"""LiteLLM translates the same bodies; where it differs, tests/golden/differences.yaml says who is right, and why.

Not run by default. It needs an interpreter that has LiteLLM 1.106.2, and nothing else of ours:

    python3.13 -m venv somewhere && somewhere/bin/pip install litellm==1.106.2
    LLMAUTH_LITELLM_PYTHON=somewhere/bin/python scripts/test -m differential

A difference that is not in the file fails, and so does an entry of the file that no longer occurs.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.e2e.oracles.comparing import Difference
from tests.e2e.oracles.litellm_targets import GOLDEN, comparisons

pytestmark = [pytest.mark.differential, pytest.mark.timeout(300)]
VERSION = "1.106.2"
WORKER = Path(__file__).with_name("litellm_worker.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """An entry of the file."""

    about: str
    targets: list[str]
    path: str
    right: str
    why: str
    ours: str = ".*"
    theirs: str = ".*"
    cases: list[str] = field(default_factory=list)

    def covers(self, found: Difference) -> bool:
        """Whether this is a difference that was decided."""
        return (
            found.target.startswith(tuple(self.targets))
            and (not self.cases or found.case in self.cases)
            and all(
                re.fullmatch(pattern, text, re.DOTALL)
                for pattern, text in ((self.path, found.path), (self.ours, found.ours), (self.theirs, found.theirs))
            )
        )


ENTRIES = [Decided(**entry) for entry in YAML(typ="safe", pure=True).load(GOLDEN / "differences.yaml")]


def _translated(python: str, jobs: Mapping[str, Any]) -> Any:
    environ = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    done = subprocess.run(
        [python, "-I", WORKER], input=json.dumps(jobs), capture_output=True, text=True, env=environ, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def found() -> list[Difference]:
    """Every difference; which of them are decided is for the tests to say."""
    python = os.environ.get("LLMAUTH_LITELLM_PYTHON")
    if not python:
        pytest.skip(f"LLMAUTH_LITELLM_PYTHON names no interpreter: give it a Python that has litellm {VERSION}")
    every = comparisons()
    told = _translated(python, {name: comparison.job for name, comparison in every.items()})
    assert told["version"] == VERSION, f"the differences are of LiteLLM {VERSION}, and this is {told['version']}"
    return [one for name, comparison in every.items() for one in comparison.differences(told["answers"][name])]


def _decided(difference: Difference) -> Decided | None:
    return next((entry for entry in ENTRIES if entry.covers(difference)), None)


def test_every_difference_is_decided(found: list[Difference]) -> None:
    new = [difference for difference in found if _decided(difference) is None]
    assert not new, "\n".join(f"{one.target}, {one.case}: {one.path}: {one.ours} / {one.theirs}"[:400] for one in new)


def test_every_entry_occurs(found: list[Difference]) -> None:
    counting = {id(entry) for difference in found if (entry := _decided(difference)) is not None}
    assert [entry.about for entry in ENTRIES if id(entry) not in counting] == []


def test_every_target_was_translated(found: list[Difference]) -> None:
    """A worker that refuses everything would agree with nobody, and a comparison of nothing with everybody."""
    refused = [one for one in found if one.path == "refused" and one.ours == "translated"]
    assert 0 < len(refused) < 20
    assert not [one for one in refused if "Error" not in one.theirs or "network" in one.theirs]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.about)
def test_every_entry_says_who_is_right(entry: Decided) -> None:
    assert entry.right in ("ours", "theirs", "either")
    assert len(entry.why) > 10
