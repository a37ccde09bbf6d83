"""The gateway of the demo: `llmauth serve` in a process of its own, as an operator runs it."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import llmauth
from llmauth.demo.walk import surroundings
from llmauth.demo.walk.problem import DemoFailed

START_LIMIT = 30.0
STOP_LIMIT = 5.0
_POLL = 0.03
# Here `python -m llmauth` finds the package that runs now, installed or not.
_PLACE = Path(llmauth.__file__).parents[1]


class Proxy:
    """One `llmauth serve`, which writes its log to `log_file`."""

    def __init__(self, config: Path, port: int, log_file: Path, variables: Mapping[str, str]) -> None:
        self.log_file = log_file
        self._port = port
        command = [sys.executable, "-m", "llmauth", "serve", "--config", str(config)]
        environ = surroundings.for_proxy(os.environ, variables)
        with log_file.open("wb") as log:
            self._process = subprocess.Popen(
                command, env=environ, cwd=_PLACE, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def wait_until_ready(self) -> None:
        """Returns when it has its credentials and takes requests; DemoFailed, with its own last words, otherwise."""
        ends = time.monotonic() + START_LIMIT
        while not self._is_ready():
            if not self.running or time.monotonic() > ends:
                raise DemoFailed(f"The proxy did not start: {self.last_words()}")
            time.sleep(_POLL)

    def _is_ready(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        try:
            connection.request("GET", "/ready")
            return self.running and connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process.poll() is None

    def last_words(self) -> str:
        """The last thing it said, on one line."""
        lines = self.log_file.read_text(encoding="utf-8", errors="replace").split("\n")
        last = next((line for line in reversed(lines) if line.strip()), "it said nothing")
        try:
            return str(json.loads(last)["message"])
        except (ValueError, KeyError, TypeError):
            return last.strip().removeprefix("Error: ")

    def stop(self) -> None:
        """Ends it: asks first, and then does not."""
        if self.running:
            self._process.terminate()
        try:
            self._process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def choose_port(wanted: int | None) -> int:
    """A port on loopback that can be listened on; DemoFailed when the wanted one cannot."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted or 0))
        except OSError as error:
            problem = f"Port {wanted} cannot be listened on ({error.strerror}); choose another with --port."
            raise DemoFailed(problem) from None
        port: int = probe.getsockname()[1]
        return port
