"""Oracle's identity services on loopback, and surroundings that lead there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from llmauth.addresses import HostPort
from llmauth.credentials.base import Surroundings
from llmauth.credentials.workload_identity.oci import OciWorkloadIdentity, OciWorkloadIdentityOptions
from llmauth.outbound import Outbound
from llmauth.secrets import Loaded, OciKey
from tests.emulators.oci_identity import OKE_HOST, OciFederation, OciMetadata, OkeTokens, Realm


@pytest.fixture(scope="session")
def issuer() -> Realm:
    """Made once: its certificates take a second."""
    return Realm()


@pytest.fixture
def realm(issuer: Realm) -> Iterator[Realm]:
    """As it was made, whatever a test does to it."""
    before = dict(vars(issuer))
    yield issuer
    vars(issuer).update(before)


@pytest.fixture
def metadata(realm: Realm) -> Iterator[OciMetadata]:
    with OciMetadata(realm) as running:
        yield running


@pytest.fixture
def federation(realm: Realm) -> Iterator[OciFederation]:
    with OciFederation(realm) as running:
        yield running


@pytest.fixture
def oke(realm: Realm) -> Iterator[OkeTokens]:
    with OkeTokens(realm) as running:
        yield running


@pytest.fixture
def on_an_instance(standing, metadata, federation, tmp_path: Path) -> Callable[..., Surroundings]:
    """A factory: the surroundings of a plain instance of Oracle's."""

    def make(**environ: str) -> Surroundings:
        host = f"auth.{metadata.info['regionIdentifier']}.{metadata.info['realmDomainComponent']}"
        outbound = Outbound(
            ca_file=federation.write_ca(tmp_path), resolve={host: HostPort("127.0.0.1", federation.port)}
        )
        surroundings: Surroundings = standing(
            "oracle", {"OCI_METADATA_BASE_URL": metadata.base_url, **environ}, outbound=outbound
        )
        return surroundings

    return make


SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


@pytest.fixture
def in_a_pod(standing, oke, realm) -> Callable[..., Surroundings]:
    """A factory: the surroundings of a pod, set up for its own identity."""

    def make(files: dict[str, str] | None = None, **environ: str) -> Surroundings:
        mounted = {f"{SERVICE_ACCOUNT}/token": realm.pod_token(), f"{SERVICE_ACCOUNT}/ca.crt": oke.pem}
        named = {"KUBERNETES_SERVICE_HOST": OKE_HOST, "OCI_RESOURCE_PRINCIPAL_VERSION": "2.2"}
        outbound = Outbound(resolve={OKE_HOST: HostPort("127.0.0.1", oke.port)})
        surroundings: Surroundings = standing(
            "oracle", named | environ, mounted if files is None else files, outbound=outbound
        )
        return surroundings

    return make


@pytest.fixture
def strategy() -> Callable[..., OciWorkloadIdentity]:
    def make(surroundings: Surroundings, **options: object) -> OciWorkloadIdentity:
        return OciWorkloadIdentity(OciWorkloadIdentityOptions.model_validate(options), surroundings)

    return make


@pytest.fixture
def key_of() -> Callable[[Loaded], OciKey]:
    def key(loaded: Loaded) -> OciKey:
        assert isinstance(loaded.credential, OciKey)
        return loaded.credential

    return key
