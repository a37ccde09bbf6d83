"""The official SDKs as tests use them: snippets run in a process of the interpreter that has them."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from llmauth.demo.emulators import Emulators

ROOT = Path(__file__).parents[3]


@dataclass
class ClientProblem(Exception):
    """What an SDK raised: the exception's class, what it says, and the HTTP status it tells of."""

    kind: str
    message: str
    status: int | None
    traceback: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}\n{self.traceback}"


def interpreter() -> Path:
    """The Python that has the official clients; fails the test, with what to do, when there is none."""
    chosen = Path(os.environ.get("LLMAUTH_CLIENTS_PYTHON") or ROOT / ".venv-clients/bin/python")
    if not chosen.exists():
        pytest.fail(
            f"The official clients are not there: {chosen} does not exist. Run scripts/install --clients, or set "
            "LLMAUTH_CLIENTS_PYTHON to a Python that has openai, anthropic and boto3.",
            pytrace=False,
        )
    return chosen


def cloud_interpreter() -> Path:
    """The Python that has the clients of the other clouds; fails the test in the same way."""
    chosen = Path(os.environ.get("LLMAUTH_CLIENTS_CLOUD_PYTHON") or ROOT / ".venv-clients-cloud/bin/python")
    if not chosen.exists():
        pytest.fail(f"{chosen} does not exist. Run scripts/install --clients-cloud.", pytrace=False)
    return chosen


class Clients:
    """One process with the SDKs loaded; they are slow to import."""

    def __init__(self, python: Path | None = None) -> None:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "1",
        }
        self._process = subprocess.Popen(
            [python or interpreter(), "-I", Path(__file__).with_name("client_worker.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )

    def run(self, emulators: Emulators, code: str, **names: Any) -> Any:
        """What `code` assigns to `result`; `names` are its variables. Raises ClientProblem for what it raises."""
        job = {"port": emulators.port, "ca_file": str(emulators.ca_file), "code": dedent(code), "names": names}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "problem" in answer:
            raise ClientProblem(**answer["problem"])
        return answer["result"]

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.kill()  # it holds nothing worth a slow goodbye
        self._process.wait(10)
        self._process.stdin.close()
        self._process.stdout.close()


# The SDKs let members pass that they do not know; this finds them, at any depth of an answer.
EXTRAS = """
def extras(value, path=""):
    if isinstance(value, (list, tuple)):
        return [name for index, item in enumerate(value) for name in extras(item, f"{path}[{index}]")]
    if not hasattr(value, "model_extra"):
        return []
    found = [f"{path}.{name}" for name in value.model_extra or ()]
    for name in type(value).model_fields:
        found += extras(getattr(value, name), f"{path}.{name}")
    return found
"""
