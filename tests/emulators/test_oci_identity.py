"""The emulated identity services of Oracle, held to Oracle's own library, which must be content with what they say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.clients.sdks import Sdks
from tests.emulators.oci_identity import OciFederation, OciMetadata, OkeTokens, Realm, Rejected
from tests.llmauth.demo.clients import ClientProblem, cloud_interpreter

# What every snippet ends with: a request that is signed as the library signs its own calls.
SIGN = """
from oci._vendor import requests
request = requests.Request("POST", "https://x.oraclecloud.com/20231130/actions/chat?x=1", data=b"{}",
                           headers={"content-type": "application/json"}).prepare()
signer.do_request_sign(request)
result = {"headers": {name.lower(): value for name, value in request.headers.items()}, "target": request.path_url}
"""
INSTANCE = """
never = oci.retry.NoneRetryStrategy()
signer = oci.auth.signers.InstancePrincipalsSecurityTokenSigner(
    retry_strategy=never, federation_client_retry_strategy=never, federation_endpoint=endpoint,
    federation_client_cert_bundle_verify=ca)
"""
POD = """
signer = oci.auth.signers.get_oke_workload_identity_resource_principal_signer(
    service_account_token_path=token, retry_strategy=oci.retry.NoneRetryStrategy())
"""


@pytest.fixture(scope="module")
def sdk() -> Iterator[Sdks]:
    running = Sdks(cloud_interpreter(), "oci")
    yield running
    running.close()


@pytest.fixture
def realm() -> Realm:
    return Realm()


@pytest.fixture
def metadata(realm: Realm) -> Iterator[OciMetadata]:
    with OciMetadata(realm) as running:
        yield running


@pytest.fixture
def federation(realm: Realm) -> Iterator[OciFederation]:
    with OciFederation(realm) as running:
        yield running


def checked(realm: Realm, signed: dict[str, Any]) -> dict[str, Any]:
    return realm.check("POST", signed["target"], signed["headers"], b"{}")


def of_the_instance(sdk: Sdks, metadata: OciMetadata, federation: OciFederation, folder: Path) -> dict[str, Any]:
    names: dict[str, Any] = {
        "endpoint": f"https://localhost:{federation.port}/v1/x509",
        "ca": str(federation.write_ca(folder)),
    }
    signed: dict[str, Any] = sdk.run(INSTANCE + SIGN, {"OCI_METADATA_BASE_URL": metadata.base_url}, **names)
    return signed


def test_the_library_becomes_an_instance_principal(sdk, realm, metadata, federation, tmp_path) -> None:
    token = checked(realm, of_the_instance(sdk, metadata, federation, tmp_path))
    assert token["ptype"] == "instance"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"subject": "opc-tenant:ocid1.tenancy.oc1..another"}, "another tenancy"),
        ({"expired": True}, "has ended"),
    ],
)
def test_a_certificate_that_is_not_good_is_refused(sdk, realm, metadata, federation, tmp_path, change, told) -> None:
    realm.rotate(**change)
    with pytest.raises(ClientProblem, match=told):
        of_the_instance(sdk, metadata, federation, tmp_path)


def test_a_chain_of_another_authority_is_refused(sdk, realm, metadata, tmp_path) -> None:
    with OciFederation(Realm()) as other, pytest.raises(ClientProblem, match="does not lead to our CA"):
        of_the_instance(sdk, metadata, other, tmp_path)


def test_a_wrong_clock_is_refused(sdk, realm, metadata, federation, tmp_path) -> None:
    real = realm.wall
    realm.wall = lambda: real() + 301
    with pytest.raises(ClientProblem, match="five minutes away"):
        of_the_instance(sdk, metadata, federation, tmp_path)


def of_a_pod(sdk: Sdks, oke: OkeTokens, token: str, folder: Path) -> dict[str, Any]:
    file = folder / "token"
    file.write_text(token)
    environ = {
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "OCI_KUBERNETES_SERVICE_ACCOUNT_CERT_PATH": str(oke.write_ca(folder)),
    }
    signed: dict[str, Any] = sdk.run(POD + SIGN, environ, direct_port=oke.port, token=str(file))
    return signed


def test_the_library_becomes_a_workload(sdk, realm, tmp_path) -> None:
    with OkeTokens(realm) as oke:
        token = checked(realm, of_a_pod(sdk, oke, realm.pod_token(), tmp_path))
    assert token["ptype"] == "workload"


def test_the_library_is_refused_in_a_pod(sdk, realm, tmp_path) -> None:
    with OkeTokens(realm) as oke:
        with pytest.raises(ClientProblem, match="401"):
            of_a_pod(sdk, oke, Realm().pod_token(), tmp_path)
        oke.enhanced = False
        with pytest.raises(ClientProblem, match="403"):
            of_a_pod(sdk, oke, realm.pod_token(), tmp_path)


def test_what_was_changed_is_found_out(sdk, realm, metadata, federation, tmp_path) -> None:
    """A proof that the verifier can say no."""
    signed = of_the_instance(sdk, metadata, federation, tmp_path)
    with pytest.raises(Rejected, match="another body"):
        realm.check("POST", signed["target"], signed["headers"], b"{ }")
    with pytest.raises(Rejected, match="another request"):
        realm.check("POST", signed["target"] + "0", signed["headers"], b"{}")
    with pytest.raises(Rejected, match="none of ours"):
        Realm().check("POST", signed["target"], signed["headers"], b"{}")
    realm.wall = lambda: 2_000_000_000.0
    with pytest.raises(Rejected, match="has ended"):
        checked(realm, signed)
