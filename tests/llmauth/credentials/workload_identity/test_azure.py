"""Azure workload identity: federation with the emulated Entra, managed identities with the emulated endpoints."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from llmauth.clock import ManualClock
from llmauth.credentials import build
from llmauth.credentials.workload_identity.azure import AzureWorkloadIdentity, AzureWorkloadIdentityOptions
from llmauth.outbound import Outbound
from llmauth.platform import Platform
from llmauth.secrets import BearerToken, Loaded
from llmauth.sources import SourceFailed, SourceUnavailable
from tests.emulators.azure_imds import HEADER, AppServiceEmulator, ImdsEmulator
from tests.emulators.entra import CLIENT, TENANT, EntraEmulator, cluster_token, opened, reaching
from tests.emulators.service import Service, dead_port

OPENAI = "https://cognitiveservices.azure.com"
FOUNDRY = "https://ai.azure.com"
OTHER = "99999999-bbbb-4ccc-8ddd-eeeeeeeeeeee"
POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}
MACHINE = Platform(name="azure", machine="azure", settled=True)
NODE = Platform(name="aks", machine="azure", settled=True, in_kubernetes=True)

Strategy = Callable[..., AzureWorkloadIdentity]


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """azure-identity reads the environment of its process."""
    for name in os.environ:
        if name.startswith(("AZURE_", "IDENTITY_", "IMDS_", "MSI_")):
            monkeypatch.delenv(name)


@pytest.fixture
def strategy(standing, monkeypatch: pytest.MonkeyPatch) -> Strategy:
    def make(environ: Mapping[str, str], *, platform: Platform | None = None, outbound=None, clock=None, **options):
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        more = {"outbound": outbound} if outbound else {}
        more |= {"clock": clock} if clock else {}
        here = standing("azure", environ, platform=platform, **more)
        return AzureWorkloadIdentity(AzureWorkloadIdentityOptions(**options), here)

    return make


def token_of(loaded: Loaded, resource: str = OPENAI) -> Mapping[str, Any]:
    assert isinstance(loaded.credential, BearerToken)
    return opened(loaded.credential.value.reveal(), resource)


# ---- federation ----------------------------------------------------------------------------------------------------


@pytest.fixture
def entra() -> Iterator[EntraEmulator]:
    with EntraEmulator() as entra:
        yield entra


@pytest.fixture
def aks(tmp_path: Path) -> dict[str, str]:
    """What the webhook of workload identities puts into a pod."""
    (tmp_path / "token").write_text(cluster_token() + "\n")
    return POD | {
        "AZURE_FEDERATED_TOKEN_FILE": str(tmp_path / "token"),
        "AZURE_CLIENT_ID": CLIENT,
        "AZURE_TENANT_ID": TENANT,
        "AZURE_AUTHORITY_HOST": "https://login.microsoftonline.com/",
    }


def test_a_pod_of_aks(strategy: Strategy, aks, entra: EntraEmulator, tmp_path: Path) -> None:
    clock = ManualClock()
    entra.life = 1234
    found = strategy(aks, outbound=reaching(tmp_path, entra), clock=clock)
    assert found.unavailable() is None
    loaded = found.load()
    assert token_of(loaded)["appid"] == CLIENT
    assert loaded.source == f"federated identity {CLIENT}"
    assert loaded.expires_at == clock.wall() + 1234
    (call,) = entra.calls
    assert call.form["scope"] == f"{OPENAI}/.default"


def test_federation_works_on_any_cluster(strategy: Strategy, aks, entra: EntraEmulator, tmp_path: Path) -> None:
    platform = Platform(name="eks", machine="aws", settled=True, in_kubernetes=True)
    found = strategy(aks, platform=platform, outbound=reaching(tmp_path, entra))
    assert found.label == "workload_identity (azure)"
    assert token_of(found.load())


def test_the_tokens_file_is_read_at_every_load(strategy: Strategy, aks, entra: EntraEmulator, tmp_path: Path) -> None:
    """F3: a rotated token counts from the next load on, where azure-identity would keep the old one for 600 s."""
    found = strategy(aks, outbound=reaching(tmp_path, entra))
    found.load()
    rotated = cluster_token(life=600)
    (tmp_path / "token").write_text(rotated)
    found.load()
    assert entra.calls[-1].form["client_assertion"] == rotated


def test_options_beat_the_environment(strategy: Strategy, aks, entra: EntraEmulator, tmp_path: Path) -> None:
    environ = aks | {"AZURE_CLIENT_ID": OTHER, "AZURE_TENANT_ID": OTHER}
    found = strategy(
        environ,
        outbound=reaching(tmp_path, entra),
        client_id=CLIENT,
        tenant_id=TENANT,
        scope=f"{FOUNDRY}/.default",
    )
    assert token_of(found.load(), FOUNDRY)["appid"] == CLIENT


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("AZURE_TENANT_ID", "", "names no tenant_id: set AZURE_TENANT_ID or tenant_id"),
        ("AZURE_CLIENT_ID", "", "names no client_id: set AZURE_CLIENT_ID or client_id"),
        ("AZURE_TENANT_ID", "../common", "AZURE_TENANT_ID is neither"),
        ("AZURE_CLIENT_ID", "canary-7f3a", "AZURE_CLIENT_ID is no client id"),
        ("AZURE_AUTHORITY_HOST", "http://login.microsoftonline.com", "AZURE_AUTHORITY_HOST is no https"),
        ("AZURE_FEDERATED_TOKEN_FILE", "/nowhere/token", "cannot be read: FileNotFoundError"),
    ],
)
def test_what_is_set_up_by_half(
    strategy: Strategy, aks, entra: EntraEmulator, tmp_path: Path, variable: str, value: str, reason: str
) -> None:
    with pytest.raises(SourceFailed, match=reason) as caught:
        strategy(aks | {variable: value}, outbound=reaching(tmp_path, entra)).load()
    assert "canary" not in caught.value.reason
    assert entra.calls == []


@pytest.mark.parametrize("content", ["", "\n", "canary-7f3a", "a.b\r\nX: y.c", "a.b.c d", "tökén.b.c"])
def test_a_file_without_a_token(strategy: Strategy, aks, tmp_path: Path, content: str) -> None:
    (tmp_path / "token").write_text(content)
    with pytest.raises(SourceFailed, match="AZURE_FEDERATED_TOKEN_FILE names") as caught:
        strategy(aks).load()
    assert "canary" not in caught.value.reason


def test_a_refused_token(strategy: Strategy, aks, entra: EntraEmulator, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(cluster_token(sub="system:serviceaccount:other:app"))
    with pytest.raises(SourceFailed, match="AADSTS700213"):
        strategy(aks, outbound=reaching(tmp_path, entra)).load()


def test_a_pod_does_not_fall_back_on_its_node(strategy: Strategy, aks, entra: EntraEmulator, tmp_path: Path) -> None:
    """What is set up and broken is told, and never runs as somebody else."""
    entra.stop()
    with ImdsEmulator() as imds:
        environ = aks | {"AZURE_POD_IDENTITY_AUTHORITY_HOST": imds.url}
        with pytest.raises(SourceFailed, match="ConnectionRefusedError"):
            strategy(environ, platform=NODE, outbound=reaching(tmp_path, entra), allow_node_identity=True).load()
        assert imds.calls == []


@pytest.mark.parametrize("fault", ["broken", "garbage", "refuse"])
def test_faults_of_entra(strategy: Strategy, aks, entra: EntraEmulator, tmp_path: Path, fault: Any) -> None:
    entra.fault = fault
    with pytest.raises(SourceFailed, match=r"^Entra ") as caught:
        strategy(aks, outbound=reaching(tmp_path, entra)).load()
    assert "canary" not in caught.value.reason


def test_turned_off(strategy: Strategy, aks) -> None:
    found = strategy(aks, platform=Platform(name="aks", in_kubernetes=True, switched={"azure": False}))
    assert "turned off by platform.capabilities" in str(found.unavailable())
    with pytest.raises(SourceUnavailable, match="turned off"):
        found.load()


# ---- an app service ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("client", [None, CLIENT])
@pytest.mark.parametrize("legacy", [False, True])
def test_an_app(strategy: Strategy, legacy: bool, client: str | None) -> None:
    with AppServiceEmulator(legacy=legacy, life=5000) as app:
        found = strategy(of_app(app), client_id=client)
        assert found.unavailable() is None
        loaded = found.load()
    assert token_of(loaded)["appid"] == CLIENT
    assert loaded.source == (f"managed identity {client} of this app" if client else "managed identity of this app")
    assert loaded.expires_at == pytest.approx(time.time() + 5000, abs=3)


def test_each_load_asks_again(strategy: Strategy) -> None:
    """The lease keeps a token; a library that keeps it too would give a refused one twice."""
    with AppServiceEmulator() as app:
        found = strategy(of_app(app))
        assert found.load().credential != found.load().credential
        assert len(app.calls) == 2


def of_app(app: AppServiceEmulator) -> dict[str, str]:
    endpoint, secret = ("MSI_ENDPOINT", "MSI_SECRET") if app.legacy else ("IDENTITY_ENDPOINT", "IDENTITY_HEADER")
    return {endpoint: app.endpoint, secret: HEADER}


def test_a_client_id_of_the_environment_is_asked_for(strategy: Strategy) -> None:
    with AppServiceEmulator() as app:
        strategy(of_app(app) | {"AZURE_CLIENT_ID": CLIENT}).load()
        assert app.calls[0].query["client_id"] == CLIENT


def test_an_identity_that_the_app_does_not_have(strategy: Strategy) -> None:
    with AppServiceEmulator() as app, pytest.raises(SourceFailed, match=r"this app gave no token: status 400$"):
        strategy(of_app(app), client_id=OTHER).load()


def test_a_wrong_header(strategy: Strategy) -> None:
    with AppServiceEmulator() as app, pytest.raises(SourceFailed, match=r"this app gave no token: status 401$"):
        strategy(of_app(app) | {"IDENTITY_HEADER": "wrong"}).load()


def test_service_fabric_is_told(strategy: Strategy) -> None:
    with AppServiceEmulator() as app, pytest.raises(SourceFailed, match="Service Fabric"):
        strategy(of_app(app) | {"IDENTITY_SERVER_THUMBPRINT": "ab" * 20}).load()


@pytest.mark.parametrize(
    "url", ["http://evil.example/msi/token", "http://8.8.8.8/msi/token", "ftp://127.0.0.1/", "/msi/token"]
)
def test_the_apps_secret_does_not_leave_in_clear_text(strategy: Strategy, url: str) -> None:
    """S4: clear text goes to this machine and what is beside it alone."""
    with pytest.raises(SourceFailed, match="IDENTITY_ENDPOINT is no https"):
        strategy({"IDENTITY_ENDPOINT": url, "IDENTITY_HEADER": HEADER}).load()


# ---- a machine -----------------------------------------------------------------------------------------------------


@pytest.fixture
def imds() -> Iterator[ImdsEmulator]:
    with ImdsEmulator() as imds:
        yield imds


def at(imds: Service) -> dict[str, str]:
    return {"AZURE_POD_IDENTITY_AUTHORITY_HOST": imds.url}


def test_a_machine(strategy: Strategy, imds: ImdsEmulator) -> None:
    found = strategy(at(imds), platform=MACHINE)
    assert found.label == "workload_identity"
    assert found.unavailable() is None
    loaded = found.load()
    assert token_of(loaded)["appid"] == CLIENT
    assert loaded.source == "managed identity of this machine"
    assert loaded.expires_at == pytest.approx(time.time() + 86399, abs=3)
    (call,) = imds.calls
    assert call.query == {"api-version": "2018-02-01", "resource": OPENAI}


def test_an_identity_of_the_user(strategy: Strategy, imds: ImdsEmulator) -> None:
    imds.identities = (OTHER, CLIENT)
    assert token_of(strategy(at(imds), client_id=CLIENT).load())["appid"] == CLIENT
    assert token_of(strategy(at(imds)).load())["appid"] == OTHER


def test_a_machine_without_an_identity_is_no_fault(strategy: Strategy, imds: ImdsEmulator) -> None:
    imds.identities = ()
    with pytest.raises(SourceUnavailable, match="on azure: no managed identity is assigned to this machine"):
        strategy(at(imds), platform=MACHINE).load()


def test_an_identity_that_is_named_and_not_there_is_one(strategy: Strategy, imds: ImdsEmulator) -> None:
    with pytest.raises(SourceFailed, match=f"knows no identity of client id {OTHER}"):
        strategy(at(imds), client_id=OTHER).load()


def test_a_scope_that_the_tenant_does_not_know(strategy: Strategy, imds: ImdsEmulator) -> None:
    with pytest.raises(SourceFailed, match=r"status 400, invalid_resource$"):
        strategy(at(imds), scope="https://unknown.example/.default").load()


@pytest.mark.parametrize("status", [404, 410, 429, 500])
def test_a_busy_metadata_service(strategy: Strategy, imds: ImdsEmulator, status: int) -> None:
    imds.status = status
    with pytest.raises(SourceFailed, match=f"gave no token: status {status}, temporarily_unavailable$"):
        strategy(at(imds)).load()
    assert len(imds.calls) == 1


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("broken", "status 500$"), ("garbage", "answered something that is no token$"), ("refuse", "status 403, unauth")],
)
def test_faults_of_the_machines_service(
    strategy: Strategy, imds: ImdsEmulator, caplog: pytest.LogCaptureFixture, fault: Any, reason: str
) -> None:
    imds.fault = fault
    with caplog.at_level(logging.DEBUG), pytest.raises(SourceFailed, match=reason) as caught:
        strategy(at(imds)).load()
    assert "canary" not in caught.value.reason
    shown = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert not any("canary" in message for message in shown)


def test_a_silent_service_ends_in_time(strategy: Strategy, imds: ImdsEmulator) -> None:
    """F2: azure-identity itself would wait for 300 s, and then try again."""
    imds.fault = "slow"
    started = time.monotonic()
    with pytest.raises(SourceFailed, match=r"127\.0\.0\.1 did not answer within 2 s"):
        strategy(at(imds)).load()
    assert time.monotonic() - started < 4.5


def test_nobody_listens(strategy: Strategy) -> None:
    with dead_port() as port, pytest.raises(SourceFailed, match="cannot be asked: ConnectionRefusedError"):
        strategy({"AZURE_POD_IDENTITY_AUTHORITY_HOST": f"http://127.0.0.1:{port}"}).load()


def test_an_outage_ends_with_it(strategy: Strategy, imds: ImdsEmulator) -> None:
    found = strategy(at(imds))
    imds.stop()
    with pytest.raises(SourceFailed):
        found.load()
    imds.start()
    assert token_of(found.load())


def test_no_proxy_of_the_environment_is_asked(
    strategy: Strategy, imds: ImdsEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy would be the machine that is identified, and would see the token."""
    with ImdsEmulator() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("ALL_PROXY", proxy.url)
        strategy(at(imds)).load()
        assert proxy.calls == []


def test_a_machine_that_is_another_clouds(strategy: Strategy) -> None:
    found = strategy({}, platform=Platform(name="ec2", machine="aws", settled=True))
    assert found.unavailable() == "Azure workload identity not available on ec2"


def test_a_laptop(strategy: Strategy) -> None:
    """Not here is told at once, and nothing is asked."""
    started = time.monotonic()
    with pytest.raises(SourceUnavailable, match=r"^Azure workload identity not available on generic$"):
        strategy({}).load()
    assert time.monotonic() - started < 0.2


# ---- the node's identity -------------------------------------------------------------------------------------------


def test_in_a_pod_the_kubelets_identity_is_not_used_by_itself(strategy: Strategy, imds: ImdsEmulator) -> None:
    """S8: a pod without an identity of its own does not run as its node."""
    found = strategy(POD | at(imds), platform=NODE)
    with pytest.raises(SourceUnavailable, match="allow_node_identity: true would use the node's own"):
        found.load()
    assert imds.calls == []


def test_in_a_pod_it_is_used_where_that_is_said(strategy: Strategy, imds: ImdsEmulator) -> None:
    loaded = strategy(POD | at(imds), platform=NODE, allow_node_identity=True).load()
    assert token_of(loaded)["appid"] == CLIENT


def test_on_a_machine_it_may_be_forbidden(strategy: Strategy, imds: ImdsEmulator) -> None:
    found = strategy(at(imds), platform=MACHINE, allow_node_identity=False)
    with pytest.raises(SourceUnavailable, match="allow_node_identity: false"):
        found.load()
    assert imds.calls == []


# ---- options -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"tenant_id": "a/b"},
        {"tenant_id": "a..b"},
        {"client_id": "llmauth"},
        {"scope": "https://cognitiveservices.azure.com"},
        {"scope": "http://cognitiveservices.azure.com/.default"},
        {"scope": "https://a.example/.default https://b.example/.default"},
        {"role_arn": "x"},
    ],
)
def test_options_of_another_form_are_refused(options: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        AzureWorkloadIdentityOptions.model_validate(options)


def test_what_is_built_is_not_exchanged_again(standing, aks, entra: EntraEmulator, tmp_path: Path) -> None:
    here = standing("azure", aks, outbound=reaching(tmp_path, entra))
    assert token_of(build(AzureWorkloadIdentityOptions(), here).load())["appid"] == CLIENT
    assert len(entra.calls) == 1


def test_public_addresses_alone_are_entra(strategy: Strategy, aks, entra: EntraEmulator, tmp_path: Path) -> None:
    """S7: a variable does not lead the cluster's token to a place inside."""
    environ = aks | {"AZURE_AUTHORITY_HOST": f"https://127.0.0.1:{entra.port}"}
    with pytest.raises(SourceFailed, match="leads to a private address"):
        strategy(environ, outbound=Outbound(ca_file=entra.write_ca(tmp_path))).load()
    assert entra.calls == []
