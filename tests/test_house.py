"""The frame of the project: scripts that run anywhere, locks that can be trusted, and one list of choices."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from llmauth import __version__
from tests.locks import LOCKS, ROOT, choices, lock, normal

SCRIPTS = sorted(
    path for path in [*(ROOT / "scripts").iterdir(), ROOT / ".ci" / "run"] if path.is_file() and not path.suffix
)


def settings(section: str, option: str) -> str:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "setup.cfg")
    return parser[section][option].strip()


def bounds(lines: list[str]) -> dict[str, str]:
    """Each package and its bounds, as (normal name: rest of the line)."""
    pairs = (re.fullmatch(r"([\w.-]+)(.*)", line.strip()) for line in lines)
    return {normal(pair[1]): pair[2] for pair in pairs if pair}


# Scripts


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_executable_and_stop_at_a_failure(script: Path) -> None:
    text = script.read_text()
    assert os.access(script, os.X_OK)
    assert text.startswith("#!/usr/bin/env bash\n# ")
    assert "\nset -euo pipefail\n" in text


@pytest.mark.parametrize("name", ["install", "lint", "check", "test", "demo", "bench"])
def test_the_promised_scripts_are_there(name: str) -> None:
    assert ROOT / "scripts" / name in SCRIPTS


def test_ci_runs_what_the_readme_says() -> None:
    assert "./scripts/test" in (ROOT / "README.md").read_text()
    assert (ROOT / ".ci" / "run").read_text().rstrip().endswith('/../scripts/test"')


def test_files_of_the_frame_name_no_place_of_one_machine() -> None:
    frame = [*SCRIPTS, *ROOT.glob("requirements*"), ROOT / "setup.cfg", ROOT / "pyproject.toml", ROOT / "CHANGELOG.md"]
    found = [
        path.name for path in frame if re.search(r"(?<![\w$.}])/(?:home|root|tmp|work|opt|Users)\b", path.read_text())
    ]
    assert not found


# Which Python


class Machine:
    """A path on which nothing is but what a test puts there."""

    def __init__(self, home: Path) -> None:
        self.home, self.path, self.pyenv = home, [home / "bin"], home / "pyenv"
        tools = home / "tools"
        tools.mkdir()
        for tool in ("dirname", "env"):
            (tools / tool).symlink_to(str(shutil.which(tool)))
        self.tools = tools

    def put(self, place: str, body: str) -> Path:
        file = self.home / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"#!/bin/sh\n{body}\n")
        file.chmod(0o755)
        return file

    def broken(self, place: str) -> None:
        """What a version manager leaves on the path for a Python that is not there."""
        self.put(place, "echo 'command not found, it exists in these versions' >&2; exit 127")

    def python(self, place: str, before: str = "pass") -> str:
        """A Python that calls itself by this place, and `before` decides what else it is."""
        file = self.home / place
        told = f"import sys; sys._base_executable = '{file}'; {before}; exec(sys.argv[3])"
        self.put(place, f'''exec '{sys.executable}' -c "{told}" "$@"''')
        return str(file)

    def install(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join(map(str, [*self.path, self.tools]))
        environment = {"PATH": path, "HOME": str(self.home), "PYENV_ROOT": str(self.pyenv)}
        command = [str(shutil.which("bash")), str(ROOT / "scripts" / "install"), *arguments]
        return subprocess.run(command, env=environment, cwd=self.home, capture_output=True, text=True, check=False)

    def picked(self) -> str:
        return self.install("--print-python").stdout.strip()


OLD = "sys.version_info = (3, 11, 7)"
NO_VENV = "sys.modules['ensurepip'] = None"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_takes_the_newest_python_on_the_path(machine: Machine) -> None:
    machine.python("bin/python3.12")
    newest = machine.python("bin/python3.14")
    machine.python("bin/python3")
    assert machine.picked() == newest


def test_passes_by_a_python_that_does_not_start(machine: Machine) -> None:
    machine.broken("bin/python3.14")
    machine.broken("bin/python3.13")
    works = machine.python("bin/python3.12")
    assert machine.picked() == works


def test_passes_by_a_python_that_cannot_make_environments(machine: Machine) -> None:
    machine.python("bin/python3.13", NO_VENV)
    works = machine.python("bin/python3.12")
    assert machine.picked() == works


def test_looks_behind_a_broken_one_of_the_same_name(machine: Machine) -> None:
    machine.path.append(machine.home / "later")
    machine.broken("bin/python3.13")
    works = machine.python("later/python3.13")
    machine.python("bin/python3.12")
    assert machine.picked() == works


@pytest.mark.parametrize("root", ["pyenv", ".pyenv"])
def test_looks_among_the_versions_of_pyenv(machine: Machine, root: str) -> None:
    machine.broken("bin/python3.12")
    machine.python("bin/python3", OLD)
    machine.python(f"{root}/versions/3.9.18/bin/python", OLD)
    machine.python(f"{root}/versions/3.12.1/bin/python")
    newest = machine.python(f"{root}/versions/3.13.0/bin/python")
    assert machine.picked() == newest


def test_takes_a_python3_that_is_new_enough_at_last(machine: Machine) -> None:
    machine.broken("bin/python3.12")
    works = machine.python("bin/python3")
    assert machine.picked() == works


def test_says_in_one_sentence_that_there_is_none(machine: Machine) -> None:
    machine.broken("bin/python3.12")
    machine.python("bin/python3", OLD)
    outcome = machine.install("--print-python")
    assert (outcome.returncode, outcome.stdout) == (1, "")
    assert re.fullmatch(r"No Python 3\.12 or newer was found: .*\n", outcome.stderr)


def test_refuses_an_unknown_option(machine: Machine) -> None:
    outcome = machine.install("--developer")
    assert outcome.returncode == 2
    assert "--developer" in outcome.stderr
    assert "--dev" in outcome.stderr


# Locks


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_package_has_hashes(name: str) -> None:
    """The reader refuses a line that is neither entry, hash nor comment: no index and no link hides in a lock."""
    assert lock(name)
    assert [entry.name for entry in lock(name) if not entry.hashes] == []
    assert "/" not in (ROOT / f"{name}.txt").read_text().replace("scripts/lock", "")


@pytest.mark.parametrize("name", LOCKS)
def test_every_choice_is_locked(name: str) -> None:
    wanted = {entry.name for entry in lock(name) if f"-r {name}.in" in entry.wanted_by}
    assert wanted == bounds([line.partition(";")[0] for line in choices(name)]).keys()


@pytest.mark.parametrize("name", LOCKS)
def test_every_choice_has_its_reason(name: str) -> None:
    lines = (ROOT / f"{name}.in").read_text().splitlines()
    assert [line for line in lines if re.match(r"[A-Za-z]", line) and not re.search(r" # \S", line)] == []


def test_the_wheel_asks_for_what_the_lock_was_made_from() -> None:
    without_markers = [line for line in choices("requirements") if ";" not in line]
    assert bounds(settings("options", "install_requires").splitlines()) == bounds(without_markers)


def test_the_tests_run_with_the_versions_of_the_product() -> None:
    product = {(entry.name, entry.version) for entry in lock("requirements")}
    names = {name for name, _ in product}
    assert {(entry.name, entry.version) for entry in lock("requirements-dev") if entry.name in names} <= product


def test_mitmproxy_stays_on_the_line_that_was_tested() -> None:
    assert bounds(choices("requirements"))["mitmproxy"] == ">=12.2.3,<12.3"


# The rest of the frame


def test_the_licence_is_the_one_that_is_declared() -> None:
    assert settings("metadata", "license_expression") == "Apache-2.0"
    assert (ROOT / "LICENSE").read_text().split()[:5] == ["Apache", "License", "Version", "2.0,", "January"]


def test_the_changelog_has_a_place_for_the_next_line() -> None:
    assert "\n## [Unreleased]\n" in (ROOT / "CHANGELOG.md").read_text()


def test_the_version_is_written_once() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)
    assert settings("metadata", "version") == "attr: llmauth.__version__"


def test_no_test_leaves_the_machine() -> None:
    with socket.socket() as outward, pytest.raises(PermissionError, match="no test may connect"):
        outward.connect(("192.0.2.1", 443))
    with pytest.raises(OSError, match="no test may look up"):
        urllib.request.urlopen("http://example.org")
