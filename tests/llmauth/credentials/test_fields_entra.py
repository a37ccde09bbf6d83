"""An application of Entra in the fields of a secret, and in the variables of an environment."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmauth.clock import ManualClock
from llmauth.credentials import build
from llmauth.credentials.environment import EnvironmentOptions, EnvironmentStrategy
from llmauth.credentials.fields import credential_from
from llmauth.secrets import ApiKey, BearerToken, EntraClient, Secret
from llmauth.sources import SourceFailed, SourceUnavailable
from tests.emulators.entra import CLIENT, SECRET, TENANT, EntraEmulator, opened, reaching

FIELDS = {"tenant_id": TENANT, "client_id": CLIENT, "client_secret": SECRET}
VARIABLES = {"AZURE_TENANT_ID": TENANT, "AZURE_CLIENT_ID": CLIENT, "AZURE_CLIENT_SECRET": SECRET}
APPLICATION = EntraClient(tenant_id=TENANT, client_id=CLIENT, client_secret=Secret(SECRET))


def test_the_three_fields() -> None:
    assert credential_from(json.dumps(FIELDS), "azure") == APPLICATION


def test_a_tenant_may_be_a_domain() -> None:
    found = credential_from(json.dumps(FIELDS | {"tenant_id": "house.onmicrosoft.com"}), "azure")
    assert isinstance(found, EntraClient)
    assert found.tenant_id == "house.onmicrosoft.com"


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"tenant_id": "../common"}, "its field tenant_id is neither the id"),
        ({"tenant_id": "a/b"}, "its field tenant_id is neither the id"),
        ({"client_id": "llmauth"}, "its field client_id is no client id"),
        ({"client_id": TENANT[:-1]}, "its field client_id is no client id"),
        ({"client_secret": ""}, "its field client_secret is empty"),
        ({"api_key": "k"}, "both an application of Entra and a key"),
    ],
)
def test_wrong_forms(other: dict[str, str], reason: str) -> None:
    with pytest.raises(SourceFailed, match=reason) as caught:
        credential_from(json.dumps(FIELDS | other), "azure")
    assert SECRET not in caught.value.reason


def test_a_part_of_an_application() -> None:
    with pytest.raises(SourceFailed, match="without tenant_id and client_id"):
        credential_from(json.dumps({"client_secret": SECRET}), "azure")


# ---- the environment ---------------------------------------------------------------------------------------------


def strategy(standing, environ) -> EnvironmentStrategy:
    return EnvironmentStrategy(EnvironmentOptions(), standing("azure", environ))


def test_the_three_variables(standing) -> None:
    found = strategy(standing, VARIABLES)
    assert found.unavailable() is None
    assert found.load().credential == APPLICATION
    assert found.load().source == "environment variable AZURE_CLIENT_SECRET"


@pytest.mark.parametrize(
    ("variable", "kind"), [("AZURE_OPENAI_API_KEY", ApiKey), ("AZURE_OPENAI_AD_TOKEN", BearerToken)]
)
def test_a_key_or_a_token_beats_them(standing, variable, kind) -> None:
    assert isinstance(strategy(standing, VARIABLES | {variable: "key-of-the-service"}).load().credential, kind)


@pytest.mark.parametrize("left_out", ["AZURE_TENANT_ID", "AZURE_CLIENT_ID"])
def test_a_part_of_the_variables(standing, left_out) -> None:
    environ = {name: value for name, value in VARIABLES.items() if name != left_out}
    with pytest.raises(SourceFailed, match=f"{left_out} is not set"):
        strategy(standing, environ).load()


def test_the_ids_alone_are_a_workload_identitys(standing) -> None:
    environ = VARIABLES | {"AZURE_CLIENT_SECRET": "", "AZURE_FEDERATED_TOKEN_FILE": "/token"}
    with pytest.raises(SourceUnavailable):
        strategy(standing, environ).load()


def test_other_providers_do_not_read_them(standing) -> None:
    with pytest.raises(SourceUnavailable, match="OPENAI_API_KEY is not set"):
        EnvironmentStrategy(EnvironmentOptions(), standing("openai", VARIABLES)).load()


@pytest.fixture
def entra() -> Iterator[EntraEmulator]:
    with EntraEmulator() as entra:
        yield entra


def test_what_is_built_gives_a_token(standing, entra: EntraEmulator, tmp_path: Path) -> None:
    clock = ManualClock()
    here = standing("azure", VARIABLES, outbound=reaching(tmp_path, entra), clock=clock)
    built = build(EnvironmentOptions(), here)
    loaded = built.load()
    assert isinstance(loaded.credential, BearerToken)
    assert opened(loaded.credential.value.reveal(), "https://cognitiveservices.azure.com")["appid"] == CLIENT
    assert loaded.source == "environment variable AZURE_CLIENT_SECRET, exchanged by Entra"
    assert loaded.expires_at == clock.wall() + entra.life


def test_what_is_built_asks_the_cloud_of_the_environment(standing, entra: EntraEmulator, tmp_path: Path) -> None:
    environ = VARIABLES | {"AZURE_AUTHORITY_HOST": "http://login.microsoftonline.com"}
    with pytest.raises(SourceFailed, match="AZURE_AUTHORITY_HOST is no https"):
        build(EnvironmentOptions(), standing("azure", environ, outbound=reaching(tmp_path, entra))).load()
    assert entra.calls == []
