"""Google's workload identity: federation, GKE, a plain machine, and whose account may be used where."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from llmauth.credentials import build
from llmauth.credentials.base import Surroundings
from llmauth.credentials.workload_identity.gcp import GcpWorkloadIdentity, GcpWorkloadIdentityOptions
from llmauth.outbound import Outbound
from llmauth.platform import Platform, SimulatedMachine
from llmauth.secrets import BearerToken
from llmauth.sources import SourceFailed, SourceUnavailable
from tests.emulators.gcp_metadata import GKE, MACHINE, NODE_CUSTOM, NODE_DEFAULT, POOL, WORKLOAD, GcpMetadata
from tests.emulators.google_sts import (
    POOL_SUBJECT,
    TARGET,
    GoogleTokens,
    external_account_file,
    impersonation_url,
    leading,
    service_account_file,
)
from tests.emulators.service import Fault, Service, dead_port

POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}
GKE_POD = Platform(name="gke", in_kubernetes=True, machine="gcp", settled=True)
VM = Platform(name="gce", machine="gcp", settled=True)


@pytest.fixture
def metadata() -> Iterator[GcpMetadata]:
    with GcpMetadata(server=GKE) as running:
        yield running


@pytest.fixture
def strategy(standing: Callable[..., Surroundings]) -> Callable[..., GcpWorkloadIdentity]:
    def make(
        metadata: Service | None = None, platform: Platform | None = None, environ: Any = None, **options: Any
    ) -> GcpWorkloadIdentity:
        told = dict(environ or {})
        if metadata is not None:
            told["GCE_METADATA_HOST"] = f"127.0.0.1:{metadata.port}"
        files = told.pop("files", {})
        outbound = told.pop("outbound", Outbound(time_limit=1.0))
        return GcpWorkloadIdentity(
            GcpWorkloadIdentityOptions(**options), standing("vertex", told, files, platform=platform, outbound=outbound)
        )

    return make


def who(metadata: GcpMetadata, credential: object) -> str | None:
    assert isinstance(credential, BearerToken)
    return metadata.directory.principal(credential.value.reveal())


# The metadata server


@pytest.mark.parametrize("email", [POOL, WORKLOAD])
def test_a_pod_of_gke_is_itself(strategy, metadata, email) -> None:
    metadata.email = email
    one = strategy(metadata, GKE_POD)
    assert one.unavailable() is None
    loaded = one.load()
    assert who(metadata, loaded.credential) == email
    assert loaded.source == f"metadata server, {email}"
    assert 3595 < loaded.expires_at - time.time() <= 3600
    assert one.label == "workload_identity"


@pytest.mark.parametrize(("email", "server"), [(NODE_DEFAULT, GKE), (NODE_DEFAULT, MACHINE), (NODE_CUSTOM, MACHINE)])
def test_in_a_pod_the_nodes_account_is_an_opt_in(strategy, metadata, email, server) -> None:
    metadata.email, metadata.server = email, server
    with pytest.raises(SourceUnavailable) as caught:
        strategy(metadata, GKE_POD).load()
    assert caught.value.reason == (
        f"GCP workload identity not available on gke: the metadata server offers the node's own account, {email}; "
        "allow_node_identity: true would use it"
    )
    assert metadata.directory.given == 0
    assert who(metadata, strategy(metadata, GKE_POD, allow_node_identity=True).load().credential) == email


@pytest.mark.parametrize("email", [NODE_DEFAULT, NODE_CUSTOM])
def test_a_plain_machine_uses_its_account(strategy, metadata, email) -> None:
    metadata.email, metadata.server = email, MACHINE
    assert who(metadata, strategy(metadata, VM).load().credential) == email
    assert who(metadata, strategy(metadata).load().credential) == email


def test_a_machine_can_be_told_to_keep_its_identity(strategy, metadata) -> None:
    one = strategy(metadata, VM, allow_node_identity=False)
    assert "allow_node_identity: false" in str(one.unavailable())
    with pytest.raises(SourceUnavailable):
        one.load()
    assert not metadata.calls


def test_a_pod_that_nothing_says_is_googles_is_not_asked_about(strategy) -> None:
    platform = Platform(name="kubernetes", in_kubernetes=True)
    reason = str(strategy(platform=platform).unavailable())
    assert reason.startswith(
        "GCP workload identity not available on kubernetes (on GCP nodes, allow_node_identity: true"
    )


@pytest.mark.parametrize("name", ["generic", "aks"])
def test_elsewhere_it_is_not_available_at_once(strategy, name) -> None:
    one = strategy(platform=Platform(name=name, in_kubernetes=name == "aks", machine="azure", settled=True))
    started = time.monotonic()
    with pytest.raises(SourceUnavailable, match=rf"^GCP workload identity not available on {name}$"):
        one.load()
    assert time.monotonic() - started < 0.5
    assert one.label == "workload_identity (gcp)"


def test_a_cloud_that_is_turned_off_is_not_asked(strategy, metadata) -> None:
    platform = replace(GKE_POD, switched={"gcp": False})
    environ = {"GOOGLE_APPLICATION_CREDENTIALS": "/g", "files": {"/g": json.dumps(external_account_file({}))}}
    with pytest.raises(SourceUnavailable, match=r"turned off by platform\.capabilities"):
        strategy(metadata, platform, environ).load()
    assert not metadata.calls


def test_a_cloud_that_is_turned_on_is_asked_in_a_pod(strategy, metadata) -> None:
    platform = Platform(name="kubernetes", in_kubernetes=True, switched={"gcp": True})
    assert strategy(metadata, platform).load()


def test_a_machine_without_an_account(strategy, metadata) -> None:
    metadata.email = None
    with pytest.raises(
        SourceUnavailable, match=r"not available on gce: the metadata server .* knows no service account"
    ):
        strategy(metadata, VM).load()


def test_a_machine_whose_scopes_keep_it_away(strategy, metadata) -> None:
    metadata.scopes = ["https://www.googleapis.com/auth/devstorage.read_only"]
    with pytest.raises(SourceFailed, match=f"the access scopes of this machine keep {WORKLOAD} from .*cloud-platform"):
        strategy(metadata, VM).load()


def test_an_account_that_the_pod_may_not_use(strategy, metadata) -> None:
    metadata.bound = False
    with pytest.raises(SourceFailed) as caught:
        strategy(metadata, GKE_POD).load()
    assert caught.value.reason == (
        f"{WORKLOAD}: the metadata server gave no token: status 403; may it use that account "
        "(roles/iam.workloadIdentityUser)?"
    )


@pytest.mark.parametrize("fault", ["slow", "garbage", "refuse", "broken"])
def test_faults_are_told_within_the_time(strategy, metadata, fault: Fault) -> None:
    """F2: one attempt, where google-auth makes five in half a minute."""
    metadata.fault = fault
    started = time.monotonic()
    with pytest.raises((SourceFailed, SourceUnavailable)) as caught:
        strategy(metadata, GKE_POD).load()
    assert time.monotonic() - started < 2.0
    assert len(metadata.calls) == 1
    assert "canary" not in str(caught.value)


def test_a_silent_server_takes_less_than_five_seconds_as_it_is_configured(standing) -> None:
    """F2, with the limits of real life."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environ = POD | {"GCE_METADATA_HOST": f"127.0.0.1:{silent.getsockname()[1]}"}
        one = GcpWorkloadIdentity(GcpWorkloadIdentityOptions(), standing("vertex", environ, platform=GKE_POD))
        started = time.monotonic()
        with pytest.raises(SourceFailed, match="did not answer within 4 s"):
            one.load()
        assert time.monotonic() - started < 4.6


def test_early_in_a_pod_the_server_is_not_there_yet(strategy) -> None:
    """Failed and not unavailable: what failed is asked again within a second."""
    with dead_port() as port:
        one = strategy(None, GKE_POD, {"GCE_METADATA_HOST": f"127.0.0.1:{port}"})
        with pytest.raises(SourceFailed, match=r"ConnectionRefusedError; in the first seconds of a pod that is normal"):
            one.load()


def test_the_same_token_again_has_the_end_that_it_has(strategy, metadata) -> None:
    now = [time.time()]
    metadata.directory.wall = lambda: now[0]
    one = strategy(metadata, GKE_POD)
    first = one.load()
    now[0] += 3000
    second = one.load()
    assert second.credential == first.credential
    assert 595 < second.expires_at - time.time() <= 600


# Federation


@pytest.fixture
def tokens() -> Iterator[GoogleTokens]:
    with GoogleTokens() as running:
        yield running


@pytest.fixture
def federation(tokens, tmp_path):
    def environ(token_file: str, **changed: Any) -> dict[str, Any]:
        text = json.dumps(external_account_file({"file": token_file}, **changed))
        (tmp_path / "google.json").write_text(text)
        named = {"GOOGLE_APPLICATION_CREDENTIALS": "/g.json"}
        return named | {"files": {"/g.json": text}, "outbound": leading(tmp_path, tokens)}

    return environ


def test_a_pod_elsewhere_is_itself_by_federation(strategy, tokens, federation) -> None:
    environ = federation("/token")
    environ["files"]["/token"] = tokens.directory.subject_token()
    one = strategy(None, Platform(name="eks", in_kubernetes=True, settled=True), environ)
    assert one.unavailable() is None
    loaded = one.load()
    assert tokens.directory.principal(loaded.credential.value.reveal()) == POOL_SUBJECT
    assert loaded.source == "federation by GOOGLE_APPLICATION_CREDENTIALS"
    assert one.label == "workload_identity (gcp)"


def test_the_token_file_is_read_at_every_load(strategy, tokens, federation) -> None:
    environ = federation("/token", service_account_impersonation_url=impersonation_url())
    files = environ["files"]
    one = strategy(None, None, environ)
    files["/token"] = tokens.directory.subject_token(life=-1)
    with pytest.raises(SourceFailed, match="Google STS refused: invalid_grant"):
        one.load()
    files["/token"] = tokens.directory.subject_token()
    loaded = one.load()
    assert tokens.directory.principal(loaded.credential.value.reveal()) == TARGET
    assert loaded.source == f"federation by GOOGLE_APPLICATION_CREDENTIALS, as {TARGET}"


@pytest.mark.parametrize("text", [None, "{", '{"type": 7}'])
def test_a_broken_file_does_not_become_the_node(strategy, metadata, text) -> None:
    metadata.server = MACHINE
    environ = {"GOOGLE_APPLICATION_CREDENTIALS": "/g", "files": {} if text is None else {"/g": text}}
    one = strategy(metadata, VM, environ, allow_node_identity=True)
    assert one.unavailable() is None
    with pytest.raises(SourceFailed, match="GOOGLE_APPLICATION_CREDENTIALS"):
        one.load()
    assert not metadata.calls


def test_broken_federation_does_not_become_the_node(strategy, metadata, federation) -> None:
    with pytest.raises(SourceFailed, match="cannot be read"):
        strategy(metadata, VM, federation("/nowhere"), allow_node_identity=True).load()
    assert not metadata.calls


def test_an_accounts_key_is_no_workload_identity(strategy, metadata) -> None:
    environ = {"GOOGLE_APPLICATION_CREDENTIALS": "/g", "files": {"/g": json.dumps(service_account_file())}}
    assert strategy(None, Platform(settled=True), environ).unavailable() == (
        "GCP workload identity not available on generic"
    )
    assert who(metadata, strategy(metadata, GKE_POD, environ).load().credential) == WORKLOAD


def test_no_token_in_any_log_line(standing, metadata, caplog) -> None:
    """R1"""
    caplog.set_level("DEBUG")
    machine = SimulatedMachine(POD | metadata.environ)
    here = replace(standing("vertex", platform=GKE_POD), machine=machine)
    loaded = build(GcpWorkloadIdentityOptions(), here).load()
    assert isinstance(loaded.credential, BearerToken)
    assert loaded.credential.value.reveal() not in caplog.text


def test_wrong_options() -> None:
    with pytest.raises(ValidationError):
        GcpWorkloadIdentityOptions.model_validate({"role_arn": "x"})
