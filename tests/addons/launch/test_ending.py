"""Each end has a status and a sentence, and shows no text of an error that is not ours."""

from __future__ import annotations

import subprocess
import sys

import pytest

from addons.launch.ending import SOFTWARE, Misused, told
from llmauth.ca import CaError
from llmauth.config.failures import FAILED, MISUSED
from llmauth.config.problems import ConfigError, Place, Problem
from llmauth.storage.home import StateError
from tests.sources import ROOT


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as same:
        return same


PROBLEM = Problem(place=Place(source="x.yaml"), path="server", message="is wrong")


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (ConfigError([PROBLEM]), MISUSED, "x.yaml"),
        (Misused("do this."), MISUSED, "Error: do this."),
        (CaError("no authority"), FAILED, "Error: no authority"),
        (StateError("open to others"), FAILED, "Error: open to others"),
        (OSError(2, "No such file", "/a"), FAILED, "Error: /a: No such file"),
        (ValueError("sk-secret"), FAILED, "Internal error: ValueError at launch/test_ending.py:"),
    ],
)
def test_status_and_sentence(error: BaseException, status: int, says: str) -> None:
    found, sentence = told(raised(error))
    assert found == status
    assert says in sentence
    assert "sk-secret" not in sentence


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=20)


def test_a_refusal_to_start_ends_whatever_would_catch_it() -> None:
    done = run(
        "from addons.launch.ending import *\n"
        "try:\n    refuse_to_start(Misused('no.'))\nexcept BaseException:\n    pass\nprint('went on')"
    )
    assert (done.returncode, done.stderr, done.stdout) == (MISUSED, "Error: no.\n", "")


def test_a_halt_is_logged_and_ends_at_once() -> None:
    done = run(
        "import logging; from addons.launch.ending import *; logging.basicConfig()\n"
        "try:\n    halt('The chain is gone')\nexcept BaseException:\n    pass\nprint('went on')"
    )
    assert done.returncode == SOFTWARE
    assert "The chain is gone; the process ends" in done.stderr
    assert done.stdout == ""
