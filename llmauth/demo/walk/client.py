"""A caller's process: finds the Python that has the SDKs, runs calls.py in a shell's variables, call by call."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import llmauth
from llmauth.demo.walk import surroundings
from llmauth.demo.walk.problem import DemoFailed
from llmauth.demo.walk.shells import Shell, Step

CALL_LIMIT = 30.0
_SCRIPT = Path(__file__).with_name("calls.py")
_ADVICE = (
    "Run scripts/install --clients, or set LLMAUTH_CLIENTS_PYTHON to a Python that has openai, anthropic and boto3."
)

_NO_ANSWER = f"no answer: the caller's process died, or was ended after {CALL_LIMIT:.0f} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What the caller saw of one call. Times are milliseconds; secrets in `held` are masked."""

    call: str
    held: Mapping[str, str]
    status: int | None = None
    first_token_ms: float | None = None
    total_ms: float | None = None
    request_id: str | None = None
    text: str = ""
    error: str | None = None


def interpreter(environ: Mapping[str, str]) -> Path:
    """The Python that has the official SDKs; DemoFailed, with what to do, when there is none."""
    if chosen := environ.get("LLMAUTH_CLIENTS_PYTHON"):
        candidates = [Path(chosen)]
    else:
        roots = dict.fromkeys((Path(llmauth.__file__).parents[1], Path(sys.prefix).parent))
        candidates = [root / ".venv-clients" / "bin" / "python" for root in roots]
    for candidate in candidates:
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return candidate.absolute()
    raise DemoFailed(f"The official SDKs are not there: found no {' and no '.join(map(str, candidates))}. {_ADVICE}")


class Client:
    """One process that makes the calls of one shell. Killed at the end of `with`: it holds nothing worth a goodbye."""

    def __init__(self, python: Path, shell: Shell, home: Path) -> None:
        self.shell = shell
        self._python = python
        self._home = home

    def __enter__(self) -> Self:
        # Isolated: beside the script, or in a PYTHONPATH, may lie an openai.py that is none.
        command = [str(self._python), "-I", "-X", "utf8", str(_SCRIPT), *(step.call for step in self.shell.steps)]
        environ = surroundings.for_caller(os.environ, str(self._home), self.shell.variables)
        self._process = subprocess.Popen(
            command,
            env=environ,
            cwd=self._home,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def wait_until_ready(self) -> None:
        """Returns when the SDKs are loaded; DemoFailed when they are not there."""
        line = self._next_line()
        missing = line.get("missing", "it ended at once")
        if not line.get("ready"):
            raise DemoFailed(f"{self._python} cannot make the calls: {missing}. {_ADVICE}")

    def call(self, step: Step) -> Report:
        """Makes the next call, which is this one, and tells what came of it, also when nothing did."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(dict(step.exports)) + "\n")
            self._process.stdin.flush()
            return Report(**self._next_line())
        except (OSError, TypeError, ValueError):
            return Report(call=step.call, held={}, error=_NO_ANSWER)

    def _next_line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        limit = threading.Timer(CALL_LIMIT, self._process.kill)
        limit.start()
        try:
            line = self._process.stdout.readline()
        finally:
            limit.cancel()
        found = json.loads(line) if line else {}
        return found if isinstance(found, dict) else {}
