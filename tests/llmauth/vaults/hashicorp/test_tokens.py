"""The token that all reads share: renewed, replaced at its last end, kept where another is not to be had."""

from __future__ import annotations

import threading
import time

import pytest

from llmauth.clock import ManualClock
from llmauth.secrets import Secret
from llmauth.sources import SourceFailed
from llmauth.vaults.hashicorp import tokens as module
from llmauth.vaults.hashicorp.calls import deadline
from llmauth.vaults.hashicorp.logins import Login
from llmauth.vaults.hashicorp.tokens import Tokens
from tests.emulators.vault import AppRole, Role, VaultEmulator

from .conftest import Standing, asked

PATH = "kv/llm"


@pytest.fixture(autouse=True)
def secret(vault: VaultEmulator) -> None:
    vault.put(PATH, {"api_key": "sk-one"})
    vault.approle["r"] = AppRole(Role(policies=["default", "llm"], ttl=900, max_ttl=2000), {"s": 2})


APPROLE = {"VAULT_ROLE_ID": "r", "VAULT_SECRET_ID": "s"}
LOGIN, RENEW, READ = "POST auth/approle/login", "POST auth/token/renew-self", "GET kv/llm"


def test_renewed_past_two_thirds_and_replaced_near_its_last_end(
    standing: Standing, vault: VaultEmulator, clock: ManualClock
) -> None:
    backend = standing(environ=APPROLE)
    for pause in (0, 590, 11, 610, 610):
        clock.advance(pause)
        backend.read(PATH)
    # 1821 s after the login a renewal gives 179 s of 900: a login takes its place.
    assert asked(vault) == [LOGIN, READ, READ, RENEW, READ, RENEW, READ, RENEW, LOGIN, READ]
    assert len({call.headers.get("x-vault-token") for call in vault.calls}) == 3  # none, and two tokens


def test_one_that_cannot_be_renewed_is_replaced(standing: Standing, vault: VaultEmulator, clock: ManualClock) -> None:
    vault.approle["r"].role.renewable = False
    backend = standing(environ=APPROLE)
    backend.read(PATH)
    clock.advance(601)
    backend.read(PATH)
    assert asked(vault) == [LOGIN, READ, LOGIN, READ]


def test_one_that_ended_meanwhile(standing: Standing, vault: VaultEmulator, clock: ManualClock) -> None:
    backend = standing(environ=APPROLE)
    backend.read(PATH)
    clock.advance(5000)
    backend.read(PATH)
    assert asked(vault) == [LOGIN, READ, LOGIN, READ]


def test_used_on_while_it_lives_where_no_other_is_to_be_had(
    standing: Standing, vault: VaultEmulator, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    vault.approle["r"].role.renewable = False
    vault.approle["r"].secret_ids["s"] = 1
    backend = standing(environ=APPROLE)
    backend.read(PATH)
    clock.advance(700)
    backend.read(PATH)
    assert "could not be renewed and is used on" in caplog.text
    clock.advance(300)
    with pytest.raises(SourceFailed, match="secret_id is wrong, used up or expired"):
        backend.read(PATH)


def test_an_administrators_token_is_kept_alive(standing: Standing, vault: VaultEmulator, clock: ManualClock) -> None:
    token = vault.token(Role(policies=["default", "llm"], ttl=900, max_ttl=1e9))
    backend = standing(environ={"VAULT_TOKEN": token})
    for _ in range(5):
        backend.read(PATH)
        clock.advance(800)
    assert vault.tokens[token].ends - clock.wall() == 100


class Failing:
    """Logins that fail after a moment, and are counted."""

    def __init__(self) -> None:
        self.count = 0

    def log_in(self, ends: float) -> Login:
        self.count += 1
        time.sleep(0.2)
        raise SourceFailed("refused")

    def renew(self, token: Secret, ends: float) -> Login | None:
        return None


def test_who_waited_for_a_login_that_failed_makes_no_other(clock: ManualClock) -> None:
    """A secret_id has only so many uses."""
    failing, reasons = Failing(), []
    tokens = Tokens(failing, clock)  # type: ignore[arg-type]

    def get() -> None:
        try:
            tokens.get(deadline())
        except SourceFailed as failure:
            reasons.append(failure.reason)

    threads = [threading.Thread(target=get) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (failing.count, reasons) == (1, ["refused"] * 5)
    get()
    assert failing.count == 2, "who comes later tries again"


def test_nobody_waits_longer_than_his_own_time(clock: ManualClock) -> None:
    tokens = Tokens(Failing(), clock)  # type: ignore[arg-type]
    with tokens._lock, pytest.raises(SourceFailed, match="another login"):
        tokens.get(time.monotonic() + 0.05)
    assert module.log.name == "llmauth.vaults.hashicorp.tokens"
