"""The official SDKs, led by environment variables alone, as their users lead them through a gateway."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

from tests.llmauth.demo.clients import ClientProblem, interpreter

_BASE = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "AWS_EC2_METADATA_DISABLED": "true"}


class Sdks:
    """One process with the SDKs loaded, which forks a child for every snippet."""

    def __init__(self, python: Path | None = None, *modules: str) -> None:
        self._process = subprocess.Popen(
            [python or interpreter(), "-I", Path(__file__).with_name("sdk_worker.py"), *modules],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=_BASE,
            text=True,
        )

    def run(self, code: str, environ: Mapping[str, str], *, direct_port: int | None = None, **names: Any) -> Any:
        """What `code` assigns to `result`; `names` are its variables, beside the SDKs.

        These are `openai`, `anthropic` and `boto3`, or the last word of each of `modules`.

        With `direct_port` every name leads to that port of this machine. Raises ClientProblem for what it raises.
        """
        job = {"code": dedent(code), "environ": {**_BASE, **environ}, "direct_port": direct_port, "names": names}
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
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()
