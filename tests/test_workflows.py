"""The workflows of .github/: what they call is there, what they take is pinned, and they may do little."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.sources import ROOT

FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
# What may be written by which job; all others read.
WRITES = {("release.yml", "release"): {"contents", "packages", "id-token", "attestations"}}


def read(file: Path) -> dict[str, Any]:
    # YAML 1.2, where `on` is a word.
    found: dict[str, Any] = YAML(typ="safe").load(file.read_text(encoding="utf-8"))
    return found


def steps(file: Path) -> list[dict[str, Any]]:
    return [step for job in read(file)["jobs"].values() for step in job["steps"]]


def runs(file: Path) -> list[str]:
    return [step["run"] for step in steps(file) if "run" in step]


def test_they_are_there() -> None:
    assert [file.name for file in FILES] == ["ci.yml", "release.yml", "security.yml"]


@each_file
def test_each_step_does_one_thing_and_each_job_ends(file: Path) -> None:
    for job in read(file)["jobs"].values():
        assert set(job) <= {"name", "runs-on", "timeout-minutes", "strategy", "steps", "needs", "permissions"}
        assert job["timeout-minutes"] <= 45
    for step in steps(file):
        assert ("run" in step) != ("uses" in step)
        assert set(step) <= {"name", "id", "run", "uses", "with", "env", "working-directory"}


@each_file
def test_what_they_call_is_there(file: Path) -> None:
    named = [word for run in runs(file) for word in re.findall(r"(?<![\w/.])(?:\./)?(scripts/[\w-]+)", run)]
    named += [word for run in runs(file) for word in re.findall(r"(?:-f|-r) ([\w./-]+)", run)]
    assert named
    for word in named:
        assert (ROOT / word).is_file(), word
        assert not word.startswith("scripts/") or os.access(ROOT / word, os.X_OK), word


@each_file
def test_actions_are_pinned_by_commit(file: Path) -> None:
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if "uses:" in line]
    assert lines
    for line in lines:
        assert re.search(r"uses: [\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line), line


@each_file
def test_they_may_read_and_no_more_than_is_listed(file: Path) -> None:
    workflow = read(file)
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        assert set(job.get("permissions", {})) == WRITES.get((file.name, name), set())


@each_file
def test_a_stranger_runs_nothing_with_our_rights(file: Path) -> None:
    assert not {"pull_request_target", "workflow_run", "issue_comment"} & set(read(file)["on"])
    # What a stranger may choose (a branch's name, a title) goes into no script.
    assert not any("${{" in run for run in runs(file))
    for step in steps(file):
        if str(step.get("uses", "")).startswith("actions/checkout@"):
            assert step["with"] == {"persist-credentials": False}


def test_every_supported_python_is_tested() -> None:
    matrix = read(ROOT / ".github" / "workflows" / "ci.yml")["jobs"]["test"]["strategy"]["matrix"]
    supported = re.findall(r"Python :: (3\.\d+)", (ROOT / "setup.cfg").read_text(encoding="utf-8"))
    assert set(supported) <= set(matrix["python"])


def test_what_is_released_was_tested_and_is_signed() -> None:
    job = read(ROOT / ".github" / "workflows" / "release.yml")["jobs"]["release"]
    assert job["needs"] == "test"
    script = "\n".join(step.get("run", "") for step in job["steps"])
    order = [script.index(word) for word in ("sha256sum", "cosign sign --yes", "cosign sign-blob", "gh release create")]
    assert order == sorted(order)


def test_a_rule_has_a_line_that_it_must_find() -> None:
    """Whether it finds it, scripts/scan looks."""
    rules = YAML(typ="safe").load((ROOT / "security" / "semgrep.yaml").read_text(encoding="utf-8"))["rules"]
    meant = set(re.findall(r"# rule: ([\w-]+)", (ROOT / "security" / "samples.py").read_text(encoding="utf-8")))
    assert {rule["id"] for rule in rules} == meant
