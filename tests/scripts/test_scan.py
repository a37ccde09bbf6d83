"""The judges of code, images and deployments find nothing: scripts/scan, but for what needs the internet."""

from __future__ import annotations

import subprocess

import pytest

from tests.sources import ROOT


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_nothing_is_found() -> None:
    command = [str(ROOT / "scripts" / "scan"), "--offline"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=1100)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
