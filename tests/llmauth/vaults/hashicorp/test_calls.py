"""One question through hvac: nothing of its own environment counts, and its limits are ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from textwrap import dedent

import pytest

from llmauth.outbound import Outbound
from llmauth.secrets import Secret
from llmauth.sources import SourceFailed
from llmauth.vaults.hashicorp.calls import Answer, Calls, deadline, seconds
from llmauth.vaults.hashicorp.place import Place
from tests.emulators.vault import VaultEmulator

ASKED_BY_US = """
    import sys, time
    from pathlib import Path
    from llmauth.outbound import Outbound
    from llmauth.vaults.hashicorp.calls import Calls, deadline
    from llmauth.vaults.hashicorp.place import Place
    calls = Calls(Place(url=sys.argv[1], ca_file=Path(sys.argv[2])), Outbound())
    print(calls.ask(lambda client: client.read("kv/llm"), deadline()).status)
"""


def test_what_the_library_would_read_of_its_environment_has_no_say(vault: VaultEmulator, tmp_path: Path) -> None:
    """hvac takes a token from VAULT_TOKEN and the home folder, certificates from variables at its import, and requests
    takes proxies and a netrc."""
    (tmp_path / ".vault-token").write_text("hvs.canary-home")
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login canary password canary\n")
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "VAULT_TOKEN": "hvs.canary-7f3a",
        "VAULT_ADDR": "https://elsewhere.example",
        "VAULT_NAMESPACE": "canary",
        **dict.fromkeys(("VAULT_CACERT", "VAULT_CAPATH", "VAULT_CLIENT_CERT", "VAULT_CLIENT_KEY"), "/none"),
        **dict.fromkeys(("HTTPS_PROXY", "https_proxy", "ALL_PROXY"), "http://127.0.0.1:9"),
        "REQUESTS_CA_BUNDLE": "/none",
    }
    command = [sys.executable, "-c", dedent(ASKED_BY_US), vault.url, str(vault.write_ca(tmp_path))]
    told = subprocess.run(command, env=environ, capture_output=True, text=True, cwd=Path.cwd(), timeout=30)
    assert (told.stdout.strip(), told.stderr) == ("403", "")
    (call,) = vault.calls
    assert "canary" not in json.dumps(dict(call.headers))
    assert call.headers["x-vault-request"] == "true"


def test_the_time_of_a_read_is_for_all_of_its_calls(vault: VaultEmulator, tmp_path: Path) -> None:
    calls = Calls(Place(url=vault.url, ca_file=vault.write_ca(tmp_path)), Outbound())
    vault.fault = "slow"
    began = time.monotonic()
    with pytest.raises(SourceFailed, match=r"did not answer within 0\.\d s"):
        calls.ask(lambda client: client.read("kv/llm"), began + 0.5)
    with pytest.raises(SourceFailed, match=r"did not answer within 4 s"):
        calls.ask(lambda client: client.read("kv/llm"), began + 0.5)
    assert time.monotonic() - began < 1


def test_a_question_that_breaks_says_its_class_alone(vault: VaultEmulator, tmp_path: Path) -> None:
    calls = Calls(Place(url=vault.url, ca_file=vault.write_ca(tmp_path)), Outbound())
    with pytest.raises(SourceFailed, match=r"^Vault at 127\.0\.0\.1 cannot be asked: InvalidHeader$"):
        calls.ask(lambda client: client.read("kv/llm"), deadline(), Secret("canary-7f3a\r\nX-Evil: 1"))
    assert vault.calls == []


def test_clear_text_on_this_machine_alone() -> None:
    with VaultEmulator(tls=()) as vault:
        here = Calls(Place(url=vault.url), Outbound())
        assert here.ask(lambda client: client.read("kv/llm"), deadline()).status == 403


def test_no_answer_is_shown() -> None:
    assert "canary" not in repr(Answer(status=200, content={"data": "canary-7f3a"}))


@pytest.mark.parametrize("value", [None, True, 0, -1, "60", float("nan"), float("inf"), 10**400, [60]])
def test_no_time_spans(value: object) -> None:
    assert seconds(value) is None


def test_time_spans() -> None:
    assert (seconds(60), seconds(0.5)) == (60.0, 0.5)
