"""A server that runs, and what `llmauth secret` and `llmauth uninstall` beside it do to it."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path

import keyring
import pytest

from llmauth import cli
from llmauth.demo.emulators import Emulators
from llmauth.installation.inventory import STATE, listing
from tests.fixtures.calls import get
from tests.fixtures.file_keyring import FILE, FileKeyring
from tests.fixtures.serving import Serving

BACKEND = "tests.fixtures.file_keyring.FileKeyring"


def test_a_running_server_is_not_uninstalled_and_all_that_it_writes_is_known(
    gateway: Serving, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("LLMAUTH_HOME", str(gateway.home))
    monkeypatch.setenv("LLMAUTH_CONFIG", str(gateway.config))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cli.main(["uninstall", "--yes"]) == 1
    assert "a proxy runs on" in capsys.readouterr().err
    assert get(gateway, "/health").status == 200
    foreign = {path.name for path in listing(gateway.home, STATE).foreign}
    assert foreign <= {gateway.ca_file.name, gateway.bundle.name}, (
        "a new file of the state folder has its line in STATE"
    )
    assert (gateway.home / "token.key").exists()


def test_a_running_server_takes_a_new_secret_at_once(
    serve: Callable[..., Serving],
    emulators: Emulators,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    variables = {FILE: str(tmp_path / "keyring.json"), "PYTHON_KEYRING_BACKEND": BACKEND}
    instance = {"type": "openai", "authentication": {"strategies": [{"type": "keyring"}]}}
    gateway = serve(environ=variables, instances={"openai": instance})
    header = ("X-API-Key", gateway.key())
    assert get(gateway, "/transparent/openai/v1/models", header).status == 500
    for name, value in {**variables, "LLMAUTH_HOME": str(gateway.home), "LLMAUTH_CONFIG": str(gateway.config)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(keyring.core, "_keyring_backend", FileKeyring())
    monkeypatch.setattr("sys.stdin", io.StringIO(emulators.credentials.openai_key))
    assert cli.main(["secret", "set", "openai"]) == 0
    ended = time.monotonic()
    assert "The running proxy uses it from now on." in capsys.readouterr().out
    assert get(gateway, "/transparent/openai/v1/models", header).status == 200
    assert time.monotonic() - ended < 1.0
    assert emulators.credentials.openai_key not in gateway.log()
