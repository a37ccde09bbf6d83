"""The JavaScript clients as tests use them: a script in a Node process of its own, led by environment variables."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).with_name("node")


def node(script: str, environ: Mapping[str, str], timeout: float = 60.0) -> Any:
    """What a script of the `node` folder printed, as JSON; AssertionError with its complaint when it fails."""
    done = subprocess.run(
        [_program(), FOLDER / script],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **environ},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def _program() -> str:
    program = shutil.which("node")
    if program is None or not (FOLDER / "node_modules").exists():
        pytest.skip("Node or the JavaScript clients are not here; scripts/install --clients-cloud brings the clients.")
    return program
