"""The emulated Entra, met by azure-identity: what it gives and what it refuses is what that library expects."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest

from tests.e2e.clients.sdks import Sdks
from tests.emulators.entra import CLIENT, SECRET, TENANT, EntraEmulator, cluster_token, opened
from tests.llmauth.demo.clients import ClientProblem, cloud_interpreter

SCOPE = "https://cognitiveservices.azure.com/.default"
RESOURCE = "https://cognitiveservices.azure.com"
BY_SECRET = """
credential = identity.ClientSecretCredential(tenant, client, secret, disable_instance_discovery=discover, retry_total=0)
found = credential.get_token_info(scope)
result = [found.token, found.expires_on]
"""
BY_FILE = """
credential = identity.WorkloadIdentityCredential(
    tenant_id=tenant, client_id=client, token_file_path=file, retry_total=0
)
result = [credential.get_token(scope).token]
"""


@pytest.fixture(scope="module")
def sdks() -> Iterator[Sdks]:
    sdks = Sdks(cloud_interpreter(), "azure.identity")
    yield sdks
    sdks.close()


@pytest.fixture
def entra() -> Iterator[EntraEmulator]:
    with EntraEmulator() as entra:
        yield entra


def asked(sdks: Sdks, entra: EntraEmulator, folder: Path, code: str, **names: object) -> list[str]:
    """What a snippet finds, with good values for all that `names` leaves out."""
    file = folder / "token"
    file.write_text(str(names.pop("assertion", cluster_token())))
    good = {"tenant": TENANT, "client": CLIENT, "secret": SECRET, "scope": SCOPE, "file": str(file), "discover": True}
    environ = {"REQUESTS_CA_BUNDLE": str(entra.write_ca(folder))}
    found: list[str] = sdks.run(code, environ, direct_port=entra.port, **(good | names))
    return found


def test_a_secret(sdks: Sdks, entra: EntraEmulator, tmp_path: Path) -> None:
    token, _ = asked(sdks, entra, tmp_path, BY_SECRET)
    assert opened(token, RESOURCE)["appid"] == CLIENT
    assert [call.path.rpartition("/")[2] for call in entra.calls] == ["openid-configuration", "token"]


def test_a_secret_with_the_discovery_of_clouds(sdks: Sdks, entra: EntraEmulator, tmp_path: Path) -> None:
    token, _ = asked(sdks, entra, tmp_path, BY_SECRET, discover=False)
    assert opened(token, RESOURCE)["tid"] == TENANT


def test_a_clusters_token(sdks: Sdks, entra: EntraEmulator, tmp_path: Path) -> None:
    (token,) = asked(sdks, entra, tmp_path, BY_FILE)
    assert opened(token, RESOURCE)["appid"] == CLIENT
    (call,) = entra.calls
    assert call.form["client_assertion_type"].endswith("jwt-bearer")


@pytest.mark.parametrize(
    ("code", "names", "said"),
    [
        (BY_SECRET, {"secret": "other"}, "AADSTS7000215"),
        (BY_SECRET, {"client": "99999999-bbbb-4ccc-8ddd-eeeeeeeeeeee"}, "AADSTS700016"),
        (BY_SECRET, {"scope": "https://unknown.azure.com/.default"}, "AADSTS500011"),
        (BY_FILE, {"tenant": "99999999-2222-4333-8444-555555555555"}, "AADSTS90002"),
        (BY_FILE, {"assertion": cluster_token(life=-60)}, "AADSTS700024"),
        (BY_FILE, {"assertion": cluster_token(aud=["sts.amazonaws.com"])}, "AADSTS700212"),
        (BY_FILE, {"assertion": cluster_token(sub="system:serviceaccount:other:app")}, "AADSTS700213"),
        (BY_FILE, {"assertion": cluster_token(iss="https://elsewhere/")}, "AADSTS700211"),
        (BY_FILE, {"assertion": jwt.encode({"sub": "x"}, "k" * 32)}, "AADSTS50027"),
    ],
)
def test_refusals(
    sdks: Sdks, entra: EntraEmulator, tmp_path: Path, code: str, names: dict[str, object], said: str
) -> None:
    with pytest.raises(ClientProblem) as caught:
        asked(sdks, entra, tmp_path, code, **names)
    assert caught.value.kind == "ClientAuthenticationError"
    assert said in caught.value.message


def test_an_ended_secret(sdks: Sdks, entra: EntraEmulator, tmp_path: Path) -> None:
    entra.secrets[SECRET] = False
    with pytest.raises(ClientProblem, match="AADSTS7000222"):
        asked(sdks, entra, tmp_path, BY_SECRET)
