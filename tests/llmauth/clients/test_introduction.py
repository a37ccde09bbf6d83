"""How a proxy is met: only one certificate of a limited authority is taken, and its TLS must be known by something."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from llmauth.ca import Authority
from llmauth.ca.making import new_authority
from llmauth.clients.introduction import NotIntroduced, introduced, same
from llmauth.demo.certificates import Authority as Unlimited
from tests.emulators.service import Call, Reply, Service


class Proxy(Service):
    """Shows what it is told to."""

    def __init__(self, **more: object) -> None:
        super().__init__(**more)  # type: ignore[arg-type]
        self.shown: bytes = b""
        self.status = 200

    def answer(self, call: Call) -> Reply:
        return Reply(self.status, self.shown) if call.path == "/ca.pem" else Reply(404)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.load_or_create(tmp_path / "ca", ["localhost", "api.openai.com"], create=True)


@pytest.fixture
def plain(authority: Authority) -> Iterator[Proxy]:
    with Proxy() as proxy:
        proxy.shown = authority.certificate_pem().encode()
        yield proxy


def test_over_http(plain: Proxy, authority: Authority) -> None:
    met = introduced(plain.url, None)
    assert (met.fingerprint, met.pem) == (authority.fingerprint(), authority.certificate_pem())
    assert met.domains == authority.domains
    assert (met.verified, met.by_itself) == (False, False)
    assert [call.headers.get("authorization") for call in plain.calls] == [None]


def test_over_tls_by_a_ca_that_was_given(authority: Authority, tmp_path: Path) -> None:
    with Proxy(tls=["localhost"]) as proxy:
        proxy.shown = authority.certificate_pem().encode()
        assert proxy.authority is not None
        (tmp_path / "tls-ca.pem").write_bytes(proxy.authority.pem)
        url = f"https://localhost:{proxy.port}"
        met = introduced(url, tmp_path / "tls-ca.pem")
        assert (met.verified, met.by_itself) == (True, False)
        with pytest.raises(NotIntroduced, match="signed neither by a public CA nor by the one that it shows"):
            introduced(url, None)


def test_over_tls_that_the_shown_authority_vouches_for(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaf = authority.leaf("localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    file = tmp_path / "leaf.pem"
    key = leaf.private_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    shown = (leaf.certificate, *leaf.chain)
    file.write_bytes(key + b"".join(one.public_bytes(serialization.Encoding.PEM) for one in shown))
    context.load_cert_chain(file)
    monkeypatch.setattr("tests.emulators.service.server_context", lambda *_, **__: context)
    with Proxy(tls=["localhost"]) as proxy:
        proxy.shown = authority.certificate_pem().encode()
        met = introduced(f"https://localhost:{proxy.port}", None)
        assert (met.verified, met.by_itself) == (False, True)
        assert met.fingerprint == authority.fingerprint()


def root_of(made: bytes) -> bytes:
    return x509.load_pem_x509_certificates(made)[-1].public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize(
    ("shown", "sentence"),
    [
        (lambda own: b"", "not one certificate of an authority"),
        (lambda own: b"<html>", "not one certificate of an authority"),
        (lambda own: own * 2, "not one certificate of an authority"),
        (lambda own: Unlimited.create().pem, "not limited to names"),
        (lambda own: root_of(new_authority(["x.example"], time.time() - 400 * 86_400)), "not valid today"),
    ],
    ids=["nothing", "a page", "two", "one that may sign any name", "an old one"],
)
def test_what_is_not_taken(plain: Proxy, shown: Callable[[bytes], bytes], sentence: str) -> None:
    plain.shown = shown(plain.shown)
    with pytest.raises(NotIntroduced, match=sentence):
        introduced(plain.url, None)


def test_a_leaf_is_no_authority(plain: Proxy, authority: Authority) -> None:
    plain.shown = authority.leaf("localhost").certificate.public_bytes(serialization.Encoding.PEM)
    with pytest.raises(NotIntroduced):
        introduced(plain.url, None)


def test_whoever_is_no_proxy(plain: Proxy) -> None:
    plain.status = 401
    with pytest.raises(NotIntroduced, match="is that the address of an llmauth proxy"):
        introduced(plain.url, None)
    with pytest.raises(NotIntroduced, match="cannot be asked"):
        introduced("http://127.0.0.1:9", None)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [("4F:1A", True), ("4f1a", True), (" 4F 1A ", True), ("4F:1B", False), ("4F", False), ("", False), ("é", False)],
)
def test_fingerprints_are_compared_whole(given: str, wanted: bool) -> None:
    assert same("4F:1A", given) is wanted
