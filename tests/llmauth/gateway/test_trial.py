"""The user's four-strategy example on every platform of the user's table, and a configuration that is tried at once."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from llmauth.config.settings import Settings, read_settings
from llmauth.gateway.trial import ask, foresee
from llmauth.platform import SimulatedMachine
from llmauth.platform.simulated import simulated

# As it stands in the user's document.
EXAMPLE = """
instances:
  bedrock_us1:
    type: bedrock
    region: us-east-1
    authentication:
      strategies:
        - type: workload_identity  # Strategy 1
          provider: aws
        - type: vault              # Strategy 2
          backend: hashicorp
          path: aws/sts/bedrock-role
        - type: vault              # Strategy 3
          backend: aws_secrets_manager
          secret_name: bedrock-api-key
        - type: kubernetes_secret  # Strategy 4 (fallback)
          secret_name: bedrock-credentials
"""
VAULT = {"VAULT_ADDR": "https://vault.corp:8200"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "c.yaml").write_text(EXAMPLE)
    return read_settings([tmp_path / "c.yaml"], {"LLMAUTH_HOME": str(tmp_path)})


@pytest.mark.parametrize(
    ("platform", "environ", "taken"),
    [
        ("eks", VAULT, "workload_identity"),
        ("aks", VAULT, "vault (hashicorp)"),
        ("gke", VAULT, "vault (hashicorp)"),
        ("oke", VAULT, "vault (hashicorp)"),
        ("aks", {}, "kubernetes_secret"),
        ("laptop", {}, "kubernetes_secret"),
        ("ec2", {}, "workload_identity"),
    ],
)
def test_the_table_of_platforms(settings: Settings, platform: str, environ: dict[str, str], taken: str) -> None:
    trial = foresee(settings, simulated(platform, {"HOME": "/home/somebody", **environ}))
    ordered = trial.instances["bedrock_us1"]
    assert next(one.label for one in ordered if one.reason is None) == taken
    if not taken.startswith("workload_identity"):
        assert ordered[0].reason == f"AWS workload identity not available on {trial.platform.name}"


def test_what_is_foreseen_asks_nobody(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr("socket.socket.connect", refused)
    monkeypatch.setattr("socket.getaddrinfo", refused)
    for platform in ("eks", "aks", "gke", "oke", "laptop", "kubernetes", "iks"):
        foresee(settings, simulated(platform, VAULT))


async def test_all_sources_are_asked_at_a_time(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-canary-7f3a")
    strategies = (
        f"[{{type: environment, variable: NOT_SET}}, {{type: file, path: {tmp_path / 'key'}}}, {{type: keyring}}]"
    )
    (tmp_path / "c.yaml").write_text(
        f"instances: {{a: {{type: openai, authentication: {{strategies: {strategies}}}}}, b: {{type: anthropic}}}}"
    )
    environ = {"LLMAUTH_HOME": str(tmp_path), "ANTHROPIC_API_KEY": "sk-ant-canary-7f3a"}
    began = time.monotonic()
    trial = await ask(read_settings([tmp_path / "c.yaml"], environ), SimulatedMachine(environ))
    assert time.monotonic() - began < 10
    absent, file, keyring = trial.instances["a"]
    assert absent.reason == "the environment variable NOT_SET is not set"
    assert (file.reason, file.source) == (None, str(tmp_path / "key"))
    assert keyring.source is None
    assert [one.reason for one in trial.instances["b"]] == [None]
    assert "canary" not in repr(trial)


async def test_what_has_ended_is_no_credential(tmp_path: Path) -> None:
    """A running proxy would not use it either."""
    (tmp_path / "c.yaml").write_text(
        "instances: {b: {type: bedrock, region: us-east-1, authentication: {strategies: [{type: environment}]}}}"
    )
    environ = {
        "LLMAUTH_HOME": str(tmp_path),
        "AWS_ACCESS_KEY_ID": "ASIA0000000000000000",
        "AWS_SECRET_ACCESS_KEY": "s" * 40,
        "AWS_CREDENTIAL_EXPIRATION": "2020-01-01T00:00:00Z",
    }
    trial = await ask(read_settings([tmp_path / "c.yaml"], environ), SimulatedMachine(environ))
    (one,) = trial.instances["b"]
    assert "already ended" in (one.reason or "")


async def test_the_first_strategy_that_gives_one_is_taken_with_the_refusals_before_it(tmp_path: Path) -> None:
    from llmauth.gateway.trial import take

    strategies = "[{type: environment, variable: NOT_SET}, {type: environment, variable: IS_SET}]"
    file = tmp_path / "taken.yaml"
    file.write_text(f"instances: {{one: {{type: openai, authentication: {{strategies: {strategies}}}}}}}\n")
    environ = {"LLMAUTH_HOME": str(tmp_path), "IS_SET": "sk-canary-7f3a"}
    taken = (await take(read_settings([file], environ), SimulatedMachine(environ)))["one"]
    assert (taken.strategy, len(taken.refusals)) == ("environment", 1)
    assert taken.loaded is not None
    assert "canary" not in repr(taken)
