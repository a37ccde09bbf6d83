"""Which way of logging in is meant, and what a file or a variable may hold."""

from __future__ import annotations

import pytest

from llmauth.platform import SimulatedMachine
from llmauth.sources import SourceFailed
from llmauth.vaults.hashicorp.methods import SERVICE_ACCOUNT_TOKEN, from_file, in_home, method_of, sendable
from llmauth.vaults.hashicorp.options import AwsAuth

EVERYTHING = {"VAULT_TOKEN": "t", "VAULT_ROLE_ID": "r", "VAULT_SECRET_ID": "s", "HOME": "/home/app"}
FILES = {SERVICE_ACCOUNT_TOKEN: "eyJ", "/home/app/.vault-token": "hvs.home"}


@pytest.mark.parametrize(
    ("without", "method"),
    [
        ([], "token"),
        (["VAULT_TOKEN"], "approle"),
        (["VAULT_TOKEN", "VAULT_SECRET_ID"], "kubernetes"),
        (["VAULT_TOKEN", "VAULT_ROLE_ID", SERVICE_ACCOUNT_TOKEN], "token"),
        (["VAULT_TOKEN", "VAULT_ROLE_ID", SERVICE_ACCOUNT_TOKEN, "/home/app/.vault-token"], None),
        (["VAULT_TOKEN", "VAULT_ROLE_ID", SERVICE_ACCOUNT_TOKEN, "HOME"], None),
    ],
)
def test_the_first_that_there_are_means_for(without: list[str], method: str | None) -> None:
    environ = {name: value for name, value in EVERYTHING.items() if name not in without}
    machine = SimulatedMachine(environ, {name: text for name, text in FILES.items() if name not in without})
    found = method_of(None, machine)
    assert (found.method if found else None) == method


def test_what_is_configured_is_meant() -> None:
    auth = AwsAuth()
    assert method_of(auth, SimulatedMachine(EVERYTHING, FILES)) is auth


def test_the_home_folder_is_the_machines() -> None:
    machine = SimulatedMachine({"HOME": "/home/app"}, {"/home/app/.vault-token": "hvs.home"})
    assert in_home("~/.vault-token", machine) == "/home/app/.vault-token"
    assert from_file("~/.vault-token", machine, "a token").reveal() == "hvs.home"


@pytest.mark.parametrize("text", ["", "two words canary-7f3a", "canary-7f3a\r\nX-Evil: 1", "canary-7f3a\x00", "\ufffd"])
def test_what_cannot_be_sent(text: str) -> None:
    with pytest.raises(SourceFailed) as failure:
        from_file("/t", SimulatedMachine({}, {"/t": text}), "a token")
    assert "/t" in failure.value.reason
    assert "canary" not in failure.value.reason
    with pytest.raises(SourceFailed, match=r"^VAULT_TOKEN is no token: it is empty, or"):
        sendable(text, "VAULT_TOKEN is no token")
