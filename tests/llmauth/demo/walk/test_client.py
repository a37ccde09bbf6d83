"""A caller's process: found, or told how to get it; and whatever it does is a report."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from llmauth.demo.walk.client import Client, interpreter
from llmauth.demo.walk.problem import DemoFailed
from llmauth.demo.walk.shells import PROXY, Shell, Step
from tests.llmauth.demo.clients import interpreter as python_of_clients


def shell(*calls: str) -> Shell:
    steps = tuple(Step(call=name) for name in calls)
    nowhere = {"OPENAI_BASE_URL": "http://127.0.0.1:1/v1", "OPENAI_API_KEY": "sk-placeholder"}
    return Shell(caller="alice", way=PROXY, variables=nowhere, steps=steps)


def script(folder: Path, body: str) -> Path:
    """A Python that is none: it prints these lines, whatever it is asked to run."""
    file = folder / "python"
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(0o755)
    return file


def test_the_variable_decides_where_the_sdks_are() -> None:
    assert interpreter({"LLMAUTH_CLIENTS_PYTHON": sys.executable}) == Path(sys.executable)


def test_a_missing_environment_is_told_with_what_to_do() -> None:
    with pytest.raises(DemoFailed, match=r"found no /nowhere/python\. Run scripts/install --clients, or set LLMAUTH_"):
        interpreter({"LLMAUTH_CLIENTS_PYTHON": "/nowhere/python"})


def test_a_missing_sdk_is_told_with_what_to_do(tmp_path: Path) -> None:
    without = script(tmp_path, """echo '{"missing": "No module named 7"}'""")
    wanted = r"cannot make the calls: No module named 7\. Run scripts/install"
    with Client(without, shell("openai.chat"), tmp_path) as one, pytest.raises(DemoFailed, match=wanted):
        one.wait_until_ready()


def test_a_python_that_does_not_start_is_told(tmp_path: Path) -> None:
    broken = script(tmp_path, "exit 3")
    with Client(broken, shell("openai.chat"), tmp_path) as one, pytest.raises(DemoFailed, match="it ended at once"):
        one.wait_until_ready()


@pytest.mark.parametrize("answer", ["exit 0", "read _; echo 'no JSON'", "read _; echo '{}'"])
def test_a_caller_that_dies_or_babbles_is_a_report(tmp_path: Path, answer: str) -> None:
    ready = """echo '{"ready": true}'"""
    with Client(script(tmp_path, f"{ready}; {answer}"), shell("openai.chat"), tmp_path) as one:
        one.wait_until_ready()
        report = one.call(Step(call="openai.chat"))
    assert report.status is None
    assert report.error is not None
    assert report.error.startswith("no answer")


def test_the_real_one_reports_what_its_sdk_raised(tmp_path: Path) -> None:
    with Client(python_of_clients(), shell("openai.chat"), tmp_path) as one:
        one.wait_until_ready()
        report = one.call(Step(call="openai.chat"))
    assert report.status is None
    assert report.error == "APIConnectionError: Connection error."
    assert report.held == {"OPENAI_API_KEY": "sk-placeholder"}


def test_a_steps_exports_reach_the_caller_before_its_call(tmp_path: Path) -> None:
    echo = """echo '{"ready": true}'; read exports; echo "{\\"call\\": \\"x\\", \\"held\\": $exports}\""""
    with Client(script(tmp_path, echo), shell("x"), tmp_path) as one:
        one.wait_until_ready()
        assert one.call(Step(call="x", exports={"OPENAI_MODEL": "fast"})).held == {"OPENAI_MODEL": "fast"}


def test_nobody_is_left(tmp_path: Path) -> None:
    with Client(script(tmp_path, """echo '{"ready": true}'; exec sleep 60"""), shell("openai.chat"), tmp_path) as one:
        one.wait_until_ready()
        pid = one._process.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
