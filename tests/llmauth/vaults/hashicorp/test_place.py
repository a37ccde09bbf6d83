"""Where Vault is: what an address may be, and what the environment adds."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmauth.sources import SourceFailed
from llmauth.vaults.hashicorp.options import HashicorpOptions
from llmauth.vaults.hashicorp.place import Place, checked_address, place_of


@pytest.mark.parametrize(
    "address",
    [
        "https://vault.example.com:8200",
        "https://vault.example.com/behind/a/path",
        "https://10.0.0.7:8200",
        "https://[fd00::1]:8200",
        "http://127.0.0.1:8200",
        "http://[::1]:8200",
        "http://localhost:8100",
    ],
)
def test_addresses(address: str) -> None:
    assert checked_address(f" {address}/") == address


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("http://vault.example.com:8200", "must begin with https://"),
        ("http://10.0.0.7:8200", "must begin with https://"),
        ("http://localhost.example.com", "must begin with https://"),
        ("http://127.1:8200", "must begin with https://"),
        ("https://user:canary-7f3a@vault.example.com", "more than host, port and path"),
        ("https://vault.example.com?x=canary-7f3a", "more than host, port and path"),
        ("vault.example.com:8200", "is no URL"),
        ("unix:///run/vault.sock", "is no URL"),
        ("https://", "is no URL"),
        ("https://vault.example.com:99999", "is no URL"),
        ("https://va ult", "is no URL"),
    ],
)
def test_no_addresses(address: str, sentence: str) -> None:
    """In clear text, the token would be everybody's."""
    with pytest.raises(ValueError, match=sentence) as wrong:
        checked_address(address)
    assert "canary" not in str(wrong.value)


def test_options_come_before_the_environment() -> None:
    environ = {"VAULT_ADDR": "https://b", "VAULT_NAMESPACE": "nb", "VAULT_CACERT": "/b.pem"}
    options = HashicorpOptions(address="https://a", namespace="na", ca_file=Path("/a.pem"))
    assert place_of(options, environ) == Place(url="https://a", namespace="na", ca_file=Path("/a.pem"))
    assert place_of(HashicorpOptions(), environ) == Place(url="https://b", namespace="nb", ca_file=Path("/b.pem"))
    assert place_of(HashicorpOptions(), {}) is None


@pytest.mark.parametrize("namespace", ["a\r\nX-Vault-Token: x", "a b", "ä"])
def test_a_namespace_is_one_header(namespace: str) -> None:
    with pytest.raises(SourceFailed, match=r"VAULT_NAMESPACE is no namespace"):
        place_of(HashicorpOptions(), {"VAULT_ADDR": "https://a", "VAULT_NAMESPACE": namespace})


def test_what_sentences_need() -> None:
    assert (Place(url="https://vault:8200/x").host, Place(url="https://v").plain) == ("vault", False)
    assert Place(url="http://127.0.0.1").plain is True
