"""The proxy of one command, from the outside: started, waited for, ended in order."""

from __future__ import annotations

import http.client
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import llmauth
from llmauth.cli.proxy import ProxyFailed
from llmauth.control.lending import RUNNER
from llmauth.storage.key_text import PREFIX

START_LIMIT = 30.0
CREDENTIAL_LIMIT = 10.0
STOP_LIMIT = 5.0
_POLL = 0.03
_PLACE = Path(llmauth.__file__).absolute().parents[1]
_PROXIES = ("HTTPS_PROXY", "https_proxy")
_EXCEPTIONS = ("NO_PROXY", "no_proxy")


def outside_proxy(environ: Mapping[str, str]) -> str | None:
    """The company's proxy in the user's variables, where it is one that we can go through; none of our own kind."""
    url = next((environ[name] for name in _PROXIES if environ.get(name)), "")
    return url if url.startswith("http://") and PREFIX not in url else None


class OwnProxy:
    """One `llmauth.cli.own_proxy`, in a session of its own, so that Ctrl-C at the command is not for it.

    ProxyFailed with its own last words when it does not start.
    """

    def __init__(self, configs: Sequence[Path], environ: Mapping[str, str]) -> None:
        self._configs = configs
        self._environ = environ

    def __enter__(self) -> Self:
        self._log = tempfile.TemporaryFile()
        told, tells = os.pipe()
        try:
            try:
                self._process = self._begun(tells)
            finally:
                os.close(tells)
            try:
                self._port = self._told_port(told)
                self._wait_until_it_serves()
            except BaseException:
                self._end()
                raise
        finally:
            os.close(told)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    @property
    def number(self) -> int:
        """Of its process."""
        return self._process.pid

    def entrust(self, what: str) -> None:
        """A folder, or a session by its id, that it takes away should this process be killed."""
        with suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.write(f"{what}\n")
            self._process.stdin.flush()

    def _begun(self, tells: int) -> subprocess.Popen[str]:
        # -P: else `-m` looks for modules in the current folder first, and a project's own `json.py` would run where the
        # provider's keys are. The folder itself stays the user's: a configuration may name files by it.
        words = [sys.executable, "-P", "-m", "llmauth.cli.own_proxy", str(tells)]
        return subprocess.Popen(
            [*words, *(str(path.absolute()) for path in self._configs)],
            env=_surroundings(self._environ),
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            text=True,
            start_new_session=True,
            pass_fds=(tells,),
        )

    def _told_port(self, told: int) -> int:
        """The port that it listens on, as it says itself once it does: nobody else can have taken that one."""
        with selectors.DefaultSelector() as selector:
            selector.register(told, selectors.EVENT_READ)
            said = os.read(told, 16).strip() if selector.select(START_LIMIT) else b""
        if not said.isdigit():
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_LIMIT)  # its last words come before its end
            raise ProxyFailed(f"The proxy for this command did not start: {self._last_words()}")
        return int(said)

    def _wait_until_it_serves(self) -> None:
        """Until some instance has its credential, or none has got one in time: then the caller is told by the proxy."""
        began = time.monotonic()
        while (status := self._status()) != 200:
            waited = time.monotonic() - began
            if self._process.poll() is not None or waited > START_LIMIT:
                raise ProxyFailed(f"The proxy for this command did not start: {self._last_words()}")
            if status is not None and waited > CREDENTIAL_LIMIT:
                return
            time.sleep(_POLL)

    def _status(self) -> int | None:
        """What /ready answers; None as long as nobody does."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        try:
            connection.request("GET", "/ready")
            return connection.getresponse().status if self._process.poll() is None else None
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = self._log.read().decode("utf-8", "replace").splitlines()
        last = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
        return last.removeprefix("Error: ")

    def _end(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        with suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.close()
        self._log.close()


def _surroundings(environ: Mapping[str, str]) -> Mapping[str, str]:
    """The user's variables, and what is found in them of the way outside."""
    # An empty entry, or a relative one, is a folder below the current one, whatever lies there.
    inherited = [path for path in environ.get("PYTHONPATH", "").split(os.pathsep) if os.path.isabs(path)]
    python_path = os.pathsep.join((str(_PLACE), *inherited))
    more = {RUNNER: str(os.getpid()), "PYTHONPATH": python_path, "PYTHONUTF8": "1"}
    url = outside_proxy(environ)
    if url is not None:
        more["LLMAUTH_OUTSIDE_PROXY"] = url
        more["LLMAUTH_OUTSIDE_NO_PROXY"] = next((environ[n] for n in _EXCEPTIONS if environ.get(n)), "")
    return {**environ, **more}


def shown(url: str) -> str:
    """Host and port of a proxy's URL, without what stands before them."""
    return urlsplit(url).netloc.rpartition("@")[2]
