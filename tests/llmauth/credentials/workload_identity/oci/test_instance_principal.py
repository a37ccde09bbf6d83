"""The principal of an instance: its certificate of the metadata service, shown to the federation endpoint."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import pytest

from llmauth.addresses import HostPort
from llmauth.credentials.workload_identity.oci import instance_principal as module
from llmauth.demo.emulators import Emulators
from llmauth.http import Door, Headers, Request, Url
from llmauth.outbound import Outbound
from llmauth.signing import oci
from llmauth.sources import SourceFailed
from tests.emulators.oci_identity import Issued, OciFederation


def test_what_is_asked_of_whom(strategy, on_an_instance, metadata, federation, realm) -> None:
    before = realm.wall()
    loaded = strategy(on_an_instance()).load()
    assert before + realm.life - 2 <= loaded.expires_at <= before + realm.life + 5
    paths = ["instance/regionInfo", "identity/cert.pem", "identity/key.pem", "identity/intermediate.pem"]
    assert [call.target for call in metadata.calls] == [f"/opc/v2/{path}" for path in paths]
    (call,) = federation.calls
    assert call.headers["host"] == "auth.eu-frankfurt-1.oraclecloud.com"
    assert "PRIVATE" not in call.body.decode()


def test_what_is_signed_with_it_is_taken_by_oracles_services(strategy, on_an_instance, realm, key_of) -> None:
    key = key_of(strategy(on_an_instance()).load())
    host = "inference.generativeai.eu-frankfurt-1.oci.oraclecloud.com"
    request = Request(
        method="POST",
        url=Url("https", host, 443, "/20231130/actions/chat"),
        headers=Headers([(b"Content-Type", b"application/json")]),
        door=Door.TUNNEL,
        body=b"{}",
    )
    signed = oci.sign(request, key, now=realm.wall())
    headers = {name.decode().lower(): value.decode() for name, value in signed.headers.fields}
    assert realm.check("POST", signed.url.path, headers, b"{}")["ptype"] == "instance"


@dataclass(frozen=True)
class Session:
    """A session, where the demo's emulator expects a user with a key."""

    key_id: str
    private_key: str


def test_the_demos_oracle_answers_it(strategy, on_an_instance, realm, key_of) -> None:
    key = key_of(strategy(on_an_instance()).load())
    path = "/20231130/models?compartmentId=ocid1.compartment.oc1..a"
    host = "generativeai.us-chicago-1.oci.oraclecloud.com"
    request = Request(method="GET", url=Url("https", host, 443, path), headers=Headers([]), door=Door.TUNNEL, body=b"")
    with Emulators(pace=0.0) as emulators:
        session: Any = Session(key.key_id.reveal(), key.private_key.reveal())
        emulators.credentials = replace(emulators.credentials, oci=session)
        outbound = Outbound(ca_file=emulators.ca_file, resolve={host: HostPort("127.0.0.1", emulators.port)})
        signed = oci.sign(request, key, now=time.time())
        fields = {name.decode(): value.decode() for name, value in signed.headers.fields}
        answer = outbound.ask("GET", f"https://{host}{path}", fields)
    assert answer.status == 200
    assert b"meta.llama" in answer.body


def test_a_rotated_certificate_is_followed(strategy, on_an_instance, realm, federation) -> None:
    one = strategy(on_an_instance())
    one.load()
    realm.rotate()
    one.load()
    first, second = (call.json["certificate"] for call in federation.calls)
    assert first != second


def test_half_of_a_rotation(strategy, on_an_instance, realm, federation) -> None:
    realm.leaf = Issued(realm.leaf.certificate, realm.root.key)
    with pytest.raises(SourceFailed, match="is of another key; while both are replaced, this passes"):
        strategy(on_an_instance()).load()
    assert not federation.calls


@pytest.mark.parametrize("change", [{"expired": True}, {"subject": "opc-tenant:ocid1.tenancy.oc1..b"}])
def test_a_certificate_that_is_refused(strategy, on_an_instance, realm, change) -> None:
    realm.rotate(**change)
    with pytest.raises(SourceFailed, match="OCI refused the certificate of this instance: NotAuthenticated; is this"):
        strategy(on_an_instance()).load()


@pytest.mark.parametrize("subject", ["somebody", "opc-tenant:canary-7f3a", 'opc-tenant:ocid1.tenancy.oc1..a"'])
def test_a_certificate_without_a_tenancy(strategy, on_an_instance, realm, federation, subject) -> None:
    realm.rotate(subject=subject)
    with pytest.raises(SourceFailed, match=r"^the certificate of this instance names no tenancy$"):
        strategy(on_an_instance()).load()
    assert not federation.calls


@pytest.mark.parametrize(
    "change",
    [
        {"realmDomainComponent": "canary-7f3a.example"},
        {"realmDomainComponent": "oraclecloud.com.canary-7f3a.example"},
        {"regionIdentifier": "canary-7f3a.example/"},
        {"regionIdentifier": "eu-frankfurt-1@canary-7f3a.example"},
    ],
)
def test_nothing_is_signed_for_a_host_that_is_none_of_oracles(
    strategy, on_an_instance, metadata, federation, change
) -> None:
    """The metadata service speaks clear text, so it does not choose where we go."""
    here = on_an_instance()
    metadata.info |= change
    with pytest.raises(SourceFailed, match="a region or a realm that is none of Oracle's") as caught:
        strategy(here).load()
    assert "canary" not in caught.value.reason
    assert not federation.calls


def test_another_realm(strategy, on_an_instance, metadata, realm, tmp_path) -> None:
    metadata.info |= {"realmDomainComponent": "oraclegovcloud.uk", "regionIdentifier": "UK-gov-london-1"}
    host = "auth.uk-gov-london-1.oraclegovcloud.uk"
    with OciFederation(realm, region="uk-gov-london-1", domain="oraclegovcloud.uk") as there:
        outbound = Outbound(ca_file=there.write_ca(tmp_path), resolve={host: HostPort("127.0.0.1", there.port)})
        assert strategy(replace(on_an_instance(), outbound=outbound)).load()


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("garbage", "does not tell the region of this instance"),
        ("broken", "the metadata service of OCI has no instance/regionInfo: status 500"),
        ("refuse", "the metadata service of OCI has no instance/regionInfo: status 403"),
    ],
)
def test_faults_of_the_metadata_service(strategy, on_an_instance, metadata, fault, reason) -> None:
    metadata.fault = fault
    with pytest.raises(SourceFailed, match=reason) as caught:
        strategy(on_an_instance()).load()
    assert "canary" not in caught.value.reason


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("garbage", "OCI answered without a session token"),
        ("broken", "OCI gave no session token: status 500"),
        ("refuse", "OCI refused the certificate of this instance: NotAuthenticated"),
    ],
)
def test_faults_of_the_federation_endpoint(strategy, on_an_instance, federation, fault, reason) -> None:
    federation.fault = fault
    with pytest.raises(SourceFailed, match=reason) as caught:
        strategy(on_an_instance()).load()
    assert "canary" not in caught.value.reason
    assert len(federation.calls) == 1


@pytest.mark.parametrize("name", ["cert.pem", "key.pem", "intermediate.pem"])
def test_an_identity_that_cannot_be_read(strategy, on_an_instance, metadata, name) -> None:
    answer = metadata.answer
    metadata.answer = lambda call: answer(
        replace(call, target="/opc/v2/instance/region") if name in call.target else call
    )
    with pytest.raises(SourceFailed, match=f"gives an identity/{name} that cannot be read"):
        strategy(on_an_instance()).load()


def test_nobody_waits_for_long(strategy, on_an_instance, metadata, federation, monkeypatch) -> None:
    assert module.TIME_LIMIT < 4
    monkeypatch.setattr(module, "_METADATA_LIMIT", 0.2)
    monkeypatch.setattr(module, "TIME_LIMIT", 0.5)
    here = on_an_instance()
    metadata.fault = "slow"
    started = time.monotonic()
    with pytest.raises(SourceFailed, match=r"127\.0\.0\.1 did not answer within 0\.2 s"):
        strategy(here).load()
    metadata.fault, federation.fault = None, "slow"
    with pytest.raises(SourceFailed, match=r"auth\.eu-frankfurt-1\.oraclecloud\.com did not answer within 0\.[0-9] s"):
        strategy(here).load()
    assert time.monotonic() - started < 2.5
    federation.stop()
    with pytest.raises(SourceFailed, match="cannot be asked: ConnectionRefusedError"):
        strategy(here).load()
