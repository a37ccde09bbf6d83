"""scripts/setup-auth.sh, run for real: keys in a cluster's Secret or in the local store, and nowhere else."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from llmauth.authenticators.base import Presented, Slot
from llmauth.clock import SystemClock
from llmauth.demo.emulators import Emulators
from llmauth.storage.keys import KeyStore
from tests.fixtures.methods import issued_keys
from tests.fixtures.raw import Wire
from tests.fixtures.serving import ROOT, provider_environment, start

SCRIPT = ROOT / "scripts" / "setup-auth.sh"
Done = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Machine:
    """A home, a folder for temporary files, and a path with `llmauth` and, if it is there, `kubectl`."""

    folder: Path

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def database(self) -> Path:
        return self.home / "state" / "keys.db"

    def run(self, *words: str, bash: tuple[str, ...] = (), stdout: Any = subprocess.PIPE) -> Done:
        environ = {
            "PATH": f"{self.folder / 'bin'}:/usr/bin:/bin",
            "HOME": str(self.home),
            "TMPDIR": str(self.home / "tmp"),
            "LLMAUTH_HOME": str(self.home / "state"),
        }
        command = ["bash", *bash, str(SCRIPT), *words]
        return subprocess.run(
            command, env=environ, cwd=self.home, text=True, stdout=stdout, stderr=subprocess.PIPE, timeout=60
        )

    def program(self, name: str, *words: str) -> None:
        file = self.folder / "bin" / name
        file.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" {" ".join(words)} "$@"\n')
        file.chmod(0o755)

    def cluster(self, **facts: Any) -> None:
        """There is a kubectl from now on, whose cluster is in this state."""
        begun = {"context": "minikube", "down": False, "namespace": "", "secret": None, "version": "", "calls": []}
        (self.folder / "cluster.json").write_text(json.dumps({**begun, **facts}))
        self.program("kubectl", str(ROOT / "tests" / "fixtures" / "fake_kubectl.py"), str(self.folder / "cluster.json"))

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads((self.folder / "cluster.json").read_text())
        return state

    def holding(self, text: str) -> list[Path]:
        """The files of the home, and of the checkout's own folders, that hold this text."""
        places = (self.home, ROOT / "scripts", ROOT / "configs")
        files = [Path(folder, name) for place in places for folder, _, names in os.walk(place) for name in names]
        assert files
        return [file for file in files if text.encode() in file.read_bytes()]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    for name in ("bin", "home/tmp"):
        (tmp_path / name).mkdir(parents=True)
    made.program("llmauth", "-m", "llmauth")
    # The machine's own kubectl, if it has one, has no context of ours.
    made.cluster(context="")
    yield made
    assert list((made.home / "tmp").iterdir()) == [], "something was left behind"


def proves(machine: Machine, key: str) -> str:
    """Whom the server lets in by this key."""
    store = KeyStore(machine.database)
    try:
        keys = issued_keys(store, SystemClock())
        keys._feed.poll()
        return keys.authenticate(Presented(slot=Slot.API_KEY, value=key)).user
    finally:
        store.close()


# Without a cluster


@pytest.mark.slow
def test_defect_06_a_local_key_is_printed_once_and_is_on_no_disk(machine: Machine) -> None:
    """2.9 row 6: keys in a file beside the script. What was printed works, and only its hash is anywhere."""
    before = KeyStore(machine.database)
    _, there = before.create("admin")
    before.close()
    done = machine.run("admin", "ci_2", "admin")
    key = done.stdout.removesuffix("\n")
    assert (done.returncode, bool(re.fullmatch(r"llmauth_\w+", key))) == (0, True), done.stderr
    assert proves(machine, key) == "ci_2"
    assert key not in done.stderr
    assert machine.holding(key.rpartition("_")[2]) == []
    assert machine.database in machine.holding("ci_2"), "and the search sees what is there"
    assert {one.stat().st_mode & 0o077 for one in machine.home.joinpath("state").rglob("*")} == {0}
    assert proves(machine, there.reveal()) == "admin", "what was there stays"
    assert done.stderr.count("llmauth keys rotate admin") == 1


@pytest.mark.slow
def test_with_a_second_factor_the_key_is_the_first_line(machine: Machine) -> None:
    done = machine.run("--totp", "ada")
    key, *rest = done.stdout.splitlines()
    assert proves(machine, key) == "ada"
    assert "otpauth://totp/" in rest[0]
    codes = re.findall(r"(?m)^  (\w{4}-\w{4})$", done.stdout)
    assert len(codes) == 10
    assert [code for code in codes if machine.holding(code)] == []


def test_into_a_file_nothing_is_printed_and_no_key_made(machine: Machine) -> None:
    file = machine.home / "api-keys.txt"
    with file.open("w") as stdout:
        done = machine.run(stdout=stdout)
    assert (done.returncode, file.read_text()) == (1, "")
    assert "standard output is a file" in done.stderr
    assert not machine.database.exists()
    file.unlink()


def test_rehearsed_nothing_changes(machine: Machine) -> None:
    done = machine.run("--dry-run", "admin", "ci")
    assert (done.returncode, done.stdout) == (0, "")
    assert "Would make the key 'ci'" in done.stderr
    assert not machine.database.exists()


def test_a_store_that_cannot_be_read_is_one_clear_end(machine: Machine) -> None:
    machine.database.parent.mkdir(mode=0o700)
    machine.database.write_bytes(b"not a database" * 100)
    machine.database.chmod(0o600)
    done = machine.run()
    assert (done.returncode, done.stdout) == (1, "")
    assert "llmauth cannot read its keys" in done.stderr
    assert "Traceback" not in done.stderr


# In a cluster


def test_defect_06_a_key_of_the_cluster_is_in_its_secret_and_nowhere_else(machine: Machine) -> None:
    """2.9 row 6: not on a disk, not on a command line where others see it, not on the terminal."""
    machine.cluster()
    done = machine.run("admin", "user1")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    state = machine.state()
    assert (state["namespace"], list(state["secret"])) == ("bedrock-system", ["API_KEY_ADMIN", "API_KEY_USER1"])
    keys = list(state["secret"].values())
    assert len(set(keys)) == 2
    assert all(re.fullmatch("[0-9a-f]{64}", key) for key in keys)
    for key in keys:
        assert key not in done.stderr
        assert machine.holding(key) == []
        assert [call for call in state["calls"] if key in " ".join([*call["argv"], *call["parent"]])] == []
    assert [call["argv"][-2:] for call in state["calls"] if call["stdin"]] == [["-f", "-"]]


def test_a_trace_shows_no_key(machine: Machine) -> None:
    machine.cluster()
    done = machine.run(bash=("-x",))
    (key,) = machine.state()["secret"].values()
    assert done.stderr.startswith("+ set -"), "it was traced at first"
    assert key not in done.stderr


def test_in_the_cluster_what_is_there_stays_and_what_is_missing_is_added(machine: Machine) -> None:
    there = {"API_KEY_ADMIN": "a" * 32, "BEDROCK_API_KEY_CI": "b" * 32}
    machine.cluster(namespace="x", secret=there, version="1")
    done = machine.run("admin", "ci", "new_one")
    assert done.returncode == 0, done.stderr
    secret = machine.state()["secret"]
    assert {name: secret[name] for name in there} == there
    assert list(secret) == [*there, "API_KEY_NEW_ONE"]
    assert "rollout restart" in done.stderr
    calls = len(machine.state()["calls"])
    assert machine.run("admin", "ci", "new_one").returncode == 0
    again = machine.state()
    assert again["secret"] == secret
    assert [call for call in again["calls"][calls:] if call["stdin"]] == []


def test_what_somebody_else_changed_meanwhile_is_not_overwritten(machine: Machine) -> None:
    machine.cluster(namespace="x", secret={"API_KEY_ADMIN": "a" * 32}, version="1", held="2")
    done = machine.run("ci")
    assert done.returncode == 1
    assert "run this again" in done.stderr
    assert list(machine.state()["secret"]) == ["API_KEY_ADMIN"]


def test_in_the_cluster_a_rehearsal_writes_nothing(machine: Machine) -> None:
    machine.cluster()
    done = machine.run("--dry-run", "--namespace", "llm", "--secret", "keys")
    assert done.returncode == 0, done.stderr
    assert "Would make the namespace llm." in done.stderr
    assert "API_KEY_ADMIN  would be made" in done.stderr
    state = machine.state()
    assert (state["namespace"], state["secret"]) == ("", None)
    assert [call for call in state["calls"] if {"create", "patch"} & set(call["argv"])] == []


def test_a_cluster_that_is_down_is_no_reason_to_make_keys_elsewhere(machine: Machine) -> None:
    machine.cluster(down=True)
    done = machine.run()
    assert (done.returncode, done.stdout) == (1, "")
    assert "--local" in done.stderr
    assert not machine.database.exists()


def test_the_cluster_that_is_meant_is_named(machine: Machine) -> None:
    machine.cluster()
    done = machine.run("--context", "prod-eu")
    assert "context prod-eu" in done.stderr
    writing = [call["argv"] for call in machine.state()["calls"] if call["stdin"]]
    assert [argv[:2] for argv in writing] == [["--context", "prod-eu"]]


@pytest.mark.parametrize(
    "words",
    [
        ("--nope",),
        ("--local", "--cluster"),
        ("--namespace",),
        ("--namespace", 'x","a":"b'),
        ("--secret", "-x"),
        ("--context", "--kubeconfig=/etc/passwd"),
        ("a b",),
        ("Admin",),
        ('x":"y',),
        ("../x",),
        ("x" * 51,),
        ("",),
        ("--cluster", "--totp"),
    ],
)
def test_wrong_use_changes_nothing_and_says_what_is_wrong(machine: Machine, words: tuple[str, ...]) -> None:
    machine.cluster()
    done = machine.run(*words)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert re.fullmatch(r"Error: .* See scripts/setup-auth.sh --help\.\n", done.stderr)
    assert [call for call in machine.state()["calls"] if call["stdin"]] == []


def test_its_help_names_every_option(machine: Machine) -> None:
    done = machine.run("--help")
    assert (done.returncode, done.stderr) == (0, "")
    taken = set(re.findall(r"(?m)^ {8}(--[\w| -]+)\)", SCRIPT.read_text()))
    options = {option for line in taken for option in re.findall(r"--[\w-]+", line)}
    assert len(options) == 7
    assert [option for option in options if option not in done.stdout] == []


@pytest.mark.slow
def test_defect_05_what_the_script_writes_is_what_the_server_reads(machine: Machine, tmp_path: Path) -> None:
    """2.9 rows 5 and 22: the key of the Secret opens a path that needs one, and no other key does."""
    machine.cluster()
    machine.run("admin", "user1")
    secret = machine.state()["secret"]
    folder = tmp_path / "gateway"
    folder.mkdir()
    with Emulators(pace=0.001, tokens=2) as emulators:
        gateway = start(folder, emulators, environ={**provider_environment(emulators), **secret})
        try:
            keys = [*secret.values(), secret["API_KEY_ADMIN"][:-1] + "x"]
            asked = [[("Host", "gateway"), ("X-API-Key", key), ("X-TOTP-Code", "123456")] for key in keys]
            statuses = []
            for headers in [*asked, [("Host", "gateway")]]:
                with Wire(gateway.port) as wire:
                    statuses.append(wire.request("GET", "/transparent/openai/v1/models", headers).status)
            assert statuses == [200, 200, 401, 401]
            assert [seen for seen in emulators.requests() if any(key.encode() in seen.head for key in keys)] == []
        finally:
            gateway.stop()
