"""The emulated Vault, and our backend standing before it on a machine that is described."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llmauth.clock import ManualClock
from llmauth.outbound import Outbound
from llmauth.platform import SimulatedMachine
from llmauth.secrets import AwsKeys, BearerToken
from llmauth.sources import SourceUnavailable
from llmauth.vaults.base import Identities, VaultSurroundings
from llmauth.vaults.hashicorp import Hashicorp, HashicorpOptions
from tests.emulators.vault import Role, VaultEmulator

Standing = Callable[..., Hashicorp]


def nobody(*_: object) -> Any:
    raise SourceUnavailable("this process has no identity there")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def vault(clock: ManualClock) -> Iterator[VaultEmulator]:
    """Over TLS, with a role `llmauth` of 20 minutes that may read what tests read."""
    with VaultEmulator(clock=clock, namespaces=["team"]) as vault:
        vault.allow("llm", "secret/*", "kv/*", "aws/*", "openai/*")
        vault.kubernetes["llmauth"] = Role(policies=["default", "llm"], ttl=1200, max_ttl=3600, binds=["llm/llmauth"])
        yield vault


@pytest.fixture
def standing(vault: VaultEmulator, clock: ManualClock, tmp_path: Path) -> Standing:
    """A factory: the backend with these options, environment and files; with neither, it holds a token of its own."""
    ca_file = str(vault.write_ca(tmp_path))

    def make(
        options: dict[str, Any] | None = None,
        environ: dict[str, str] | None = None,
        files: dict[str, str] | None = None,
        aws: Callable[[], AwsKeys] = nobody,
        **more: Any,
    ) -> Hashicorp:
        given = {"VAULT_ADDR": vault.url, "VAULT_CACERT": ca_file} | (
            {"VAULT_TOKEN": vault.token(vault.kubernetes["llmauth"])} if environ is None else environ
        )
        azure: Callable[[str], BearerToken] = nobody
        surroundings = VaultSurroundings(
            machine=SimulatedMachine(given, {} if files is None else files),
            identities=Identities(aws=aws, azure=azure, gcp=nobody),
            outbound=more.pop("outbound", Outbound()),
            clock=clock,
        )
        return Hashicorp(HashicorpOptions.model_validate(options or {}), surroundings)

    return make


def asked(vault: VaultEmulator) -> list[str]:
    """Every call that it got, as `GET secret/data/x`."""
    return [f"{call.method} {call.path.removeprefix('/v1/')}" for call in vault.calls]
