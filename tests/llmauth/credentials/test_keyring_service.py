"""The keyring strategy against a real Secret Service: GNOME Keyring, on a message bus of its own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

PROGRAMS = ("dbus-daemon", "gnome-keyring-daemon")
MISSING = [program for program in PROGRAMS if shutil.which(program) is None]
pytestmark = pytest.mark.skipif(
    bool(MISSING) or sys.platform != "linux", reason=f"a real keyring service needs {' and '.join(MISSING)}"
)

# Nothing is activated on this bus: a keyring is there when a test starts it, and no prompt ever opens.
BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:dir={folder}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""

# One process, as the gateway is one: it looks for a keyring once, and asks it whenever a line comes in.
ASKING = """
import asyncio, json, sys
from llmauth.credentials.base import Surroundings
from llmauth.credentials.cache import Source
from llmauth.credentials.keyring import KeyringOptions, KeyringStrategy
from llmauth.sources import SourceFailed, SourceUnavailable

strategy = KeyringStrategy(KeyringOptions(), Surroundings(instance="openai"))

async def load():
    return await Source(strategy, asyncio.Semaphore(1), deadline=2.0).load()

for line in sys.stdin:
    try:
        loaded = asyncio.run(load())
        told = [loaded.source, loaded.credential.value.reveal()]
    except (SourceFailed, SourceUnavailable) as refusal:
        told = [type(refusal).__name__, refusal.reason]
    print(json.dumps(told), flush=True)
"""


class Desktop:
    """A message bus, a keyring that can be started, and a process that asks it."""

    def __init__(self, folder: Path) -> None:
        (folder / "run").mkdir(mode=0o700)
        config = folder / "bus.conf"
        config.write_text(BUS.format(folder=folder / "run"))
        self._started: list[subprocess.Popen[str]] = []
        self.environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder / "run")}
        bus = self._start(["dbus-daemon", f"--config-file={config}", "--nofork", "--print-address=1"])
        assert bus.stdout is not None
        self.environ["DBUS_SESSION_BUS_ADDRESS"] = bus.stdout.readline().strip()
        self._asking = self._start([sys.executable, "-c", ASKING])

    def start_keyring(self) -> subprocess.Popen[str]:
        """A keyring, unlocked as a login does it."""
        command = ["gnome-keyring-daemon", "--unlock", "--components=secrets", "--foreground"]
        keyring = self._start(command)
        assert keyring.stdin is not None
        assert keyring.stdout is not None
        keyring.stdin.write("password")
        keyring.stdin.close()
        keyring.stdout.readline()  # it says where it listens when it does
        return keyring

    def ask(self) -> list[str]:
        assert self._asking.stdin is not None
        assert self._asking.stdout is not None
        self._asking.stdin.write("load\n")
        self._asking.stdin.flush()
        told: list[str] = json.loads(self._asking.stdout.readline())
        return told

    def run(self, *command: str, typed: str = "") -> str:
        done = subprocess.run(
            command, input=typed, env=self.environ, capture_output=True, text=True, timeout=20, check=True
        )
        return done.stdout

    def _start(self, command: list[str]) -> subprocess.Popen[str]:
        pipes: Mapping[str, int] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        started: subprocess.Popen[str] = subprocess.Popen(command, env=self.environ, text=True, **pipes)  # type: ignore[call-overload]
        self._started.append(started)
        return started

    def close(self) -> None:
        for process in reversed(self._started):
            process.kill()
            process.wait(10)
            for pipe in (process.stdin, process.stdout):
                if pipe is not None and not pipe.closed:
                    with contextlib.suppress(OSError):  # what was never read by who is gone
                        pipe.close()


@pytest.fixture
def desktop(tmp_path_factory) -> Iterator[Desktop]:
    running = Desktop(tmp_path_factory.mktemp("d"))  # short, as the path of a socket has to be
    yield running
    running.close()


PYTHON = (sys.executable, "-m", "keyring")
LOCK = """
import secretstorage
bus = secretstorage.dbus_init()
secretstorage.get_default_collection(bus).lock()
"""
BYTES = """
import secretstorage
bus = secretstorage.dbus_init()
names = {"application": "Python keyring library", "service": "llmauth", "username": "openai"}
secretstorage.get_default_collection(bus).create_item("x", names, bytes([255, 254]))
"""
NO_PROMPT = """
import sys
from jeepney import DBusAddress, new_method_call
from jeepney.io.blocking import open_dbus_connection
bus = open_dbus_connection(bus="SESSION")
dbus = DBusAddress("/org/freedesktop/DBus", "org.freedesktop.DBus", "org.freedesktop.DBus")
bus.send_and_get_reply(new_method_call(dbus, "RequestName", "su", ("org.gnome.keyring.SystemPrompter", 4)))
print("owned", flush=True)
sys.stdin.read()
"""


def test_what_the_command_keeps_is_found(desktop) -> None:
    desktop.start_keyring()
    kind, reason = desktop.ask()
    assert (kind, "`llmauth secret set openai` makes one" in reason) == ("SourceUnavailable", True)
    desktop.run(*PYTHON, "set", "llmauth", "openai", typed="sk-1\n")
    assert desktop.ask() == ["keyring entry llmauth/openai", "sk-1"]
    desktop.run(*PYTHON, "set", "llmauth", "openai", typed="sk-2\n")
    assert desktop.ask() == ["keyring entry llmauth/openai", "sk-2"]


def test_a_keyring_that_starts_after_us_is_found(desktop) -> None:
    kind, reason = desktop.ask()
    assert (kind, reason.startswith("there is no keyring on this machine")) == ("SourceUnavailable", True)
    desktop.start_keyring()
    desktop.run(*PYTHON, "set", "llmauth", "openai", typed="sk-1\n")
    assert desktop.ask() == ["keyring entry llmauth/openai", "sk-1"]


def test_locked_and_nobody_to_ask(desktop) -> None:
    desktop.start_keyring()
    desktop.run(*PYTHON, "set", "llmauth", "openai", typed="sk-1\n")
    desktop.run(sys.executable, "-c", LOCK)
    kind, reason = desktop.ask()
    assert (kind, "KeyringLocked; unlock it" in reason) == ("SourceFailed", True)


def test_a_prompt_that_nobody_answers_ends_at_the_deadline(desktop) -> None:
    """The library waits for as long as the prompt is open; the load does not."""
    desktop.start_keyring()
    desktop.run(*PYTHON, "set", "llmauth", "openai", typed="sk-1\n")
    desktop.run(sys.executable, "-c", LOCK)
    prompter = desktop._start([sys.executable, "-c", NO_PROMPT])
    assert prompter.stdout is not None
    assert prompter.stdout.readline() == "owned\n"
    assert desktop.ask() == ["SourceFailed", "no answer within 2 s"]


def test_an_entry_that_is_no_text(desktop) -> None:
    desktop.start_keyring()
    desktop.run(sys.executable, "-c", BYTES)
    kind, reason = desktop.ask()
    assert kind == "SourceFailed"
    assert reason == "the keyring keyring.backends.SecretService.Keyring refused: UnicodeDecodeError"


def test_a_keyring_that_ends(desktop) -> None:
    keyring = desktop.start_keyring()
    desktop.run(*PYTHON, "set", "llmauth", "openai", typed="sk-1\n")
    assert desktop.ask()[1] == "sk-1"
    keyring.kill()
    keyring.wait()
    kind, reason = desktop.ask()
    assert kind == "SourceFailed"
    assert reason.startswith("the keyring keyring.backends.SecretService.Keyring refused: ")
    desktop.start_keyring()
    assert desktop.ask()[1] == "sk-1"
