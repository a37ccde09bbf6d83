"""Whom a call believes: the public roots, a CA beside them, or that CA alone; and what it shows of itself."""

from __future__ import annotations

import os
import ssl
import tempfile
from dataclasses import replace
from pathlib import Path

import certifi
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from llmauth.demo.certificates import Authority
from llmauth.outbound import METADATA, Outbound
from llmauth.outbound.trust import PUBLIC, Trust
from llmauth.secrets import Secret
from llmauth.sources import SourceFailed
from tests.emulators.kubernetes_api import KubernetesApi
from tests.emulators.service import Call, Reply, Service


class Echo(Service):
    def answer(self, call: Call) -> Reply:
        return Reply(200, {"path": call.path})


@pytest.fixture
def inside():
    with Echo(tls=["127.0.0.1"]) as service:
        yield service


def test_the_public_roots_are_believed_unless_a_ca_of_its_own_is_all() -> None:
    public = len(ssl.create_default_context(cafile=certifi.where()).get_ca_certs())
    authority = Authority.create().pem.decode()
    assert len(PUBLIC.context().get_ca_certs()) == public
    assert len(Trust(ca_data=authority).context().get_ca_certs()) == public + 1
    assert len(Trust(ca_data=authority, roots=False).context().get_ca_certs()) == 1


def test_a_service_inside_is_reached_with_its_own_ca(inside, tmp_path) -> None:
    for trust in (Trust(ca_data=inside.pem, private=True), Trust(ca_file=inside.write_ca(tmp_path), private=True)):
        assert Outbound(trust=trust).ask("GET", f"{inside.url}/a").status == 200


@pytest.mark.parametrize(
    ("trust", "reason"),
    [
        (Trust(private=True), "certificate of 127.0.0.1 could not be verified"),
        (Trust(private=False), "leads to a private address"),
    ],
)
def test_and_in_no_other_way(inside, trust, reason) -> None:
    with pytest.raises(SourceFailed, match=reason):
        Outbound(trust=trust).ask("GET", f"{inside.url}/a")
    assert inside.calls == []


def test_clear_text_is_for_metadata_services_alone() -> None:
    with Echo() as service:
        assert Outbound(trust=METADATA).ask("GET", f"{service.url}/latest").status == 200
        with pytest.raises(SourceFailed, match="in clear text; its address must begin with https://"):
            Outbound(trust=Trust(private=True)).ask("GET", f"{service.url}/latest")
        assert [call.path for call in service.calls] == ["/latest"]


def test_a_client_certificate_is_shown_where_one_is_asked_for() -> None:
    with KubernetesApi() as api:
        api.keep("default", "s", a="b")
        api.allow("anna", "get", "secrets", "default", "s")
        certificate, key = api.certificate("anna")
        trust = Trust(ca_data=api.pem, roots=False, private=True, certificate=certificate, key=Secret(key))
        assert "PRIVATE" not in repr(trust)
        url = f"{api.url}/api/v1/namespaces/default/secrets/s"
        assert Outbound(trust=trust).ask("GET", url).status == 200
        assert Outbound(trust=replace(trust, certificate=None)).ask("GET", url).status == 403


@pytest.mark.parametrize(
    ("trust", "reason"),
    [
        ({"ca_file": Path("/nonexistent/ca.pem")}, "the CA file /nonexistent/ca.pem does not exist"),
        ({"ca_data": "no PEM"}, "the CA that is configured cannot be used: .*; wanted are certificates in PEM"),
        ({"certificate": "no PEM", "key": Secret("canary-7f3a")}, "the client certificate and its key cannot be used"),
    ],
)
def test_what_cannot_be_used_is_told_before_anybody_is_asked(trust, reason) -> None:
    with pytest.raises(SourceFailed, match=reason) as caught:
        Outbound(trust=Trust(private=True, **trust)).ask("GET", "https://127.0.0.1:1/")
    assert "canary" not in caught.value.reason


def test_a_key_with_a_passphrase_asks_nobody_for_it() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")).decode()
    with pytest.raises(SourceFailed, match="its key cannot be used"):
        Trust(certificate=Authority.create().pem.decode(), key=Secret(locked)).context()


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="the system has no files that are on no disk")
def test_a_private_key_is_on_no_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would lie in /tmp for a moment at each load, or in the folder that the process was started in."""

    def refuse(**_: object) -> None:
        raise OSError("read-only file system")

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", refuse)
    with KubernetesApi() as api:
        certificate, key = api.certificate("anna")
        Trust(ca_data=api.pem, certificate=certificate, key=Secret(key)).context()


def test_a_pipe_in_the_place_of_a_ca_file_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "ca.pem")
    with pytest.raises(SourceFailed, match="cannot be used: OSError"):
        Trust(ca_file=tmp_path / "ca.pem").context()
