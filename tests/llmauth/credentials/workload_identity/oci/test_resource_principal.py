"""A resource principal out of variables and files, and what of it is no use."""

from __future__ import annotations

import email.utils
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from llmauth.credentials.workload_identity.oci.session import fresh_key
from llmauth.http import Door, Headers, Request, Url
from llmauth.platform import ThisMachine
from llmauth.signing import oci
from llmauth.sources import SourceFailed
from tests.e2e.clients.sdks import Sdks
from tests.llmauth.demo.clients import cloud_interpreter

NOW = 1_800_000_000
KEY = "OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM"
TOKEN = "OCI_RESOURCE_PRINCIPAL_RPST"


@pytest.fixture(scope="module")
def key() -> RSAPrivateKey:
    return fresh_key()


def pem(key: RSAPrivateKey, passphrase: str | None = None) -> str:
    encryption = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode()


@pytest.fixture
def variables(realm, key) -> dict[str, str]:
    token = realm.session_token(key.public_key(), "resource")
    version = {"OCI_RESOURCE_PRINCIPAL_VERSION": "2.2", "OCI_RESOURCE_PRINCIPAL_REGION": "eu-frankfurt-1"}
    return version | {TOKEN: token, KEY: pem(key)}


def test_out_of_variables(strategy, standing, variables, realm, key_of) -> None:
    before = realm.wall()
    loaded = strategy(standing("oracle", variables)).load()
    assert loaded.source == "resource principal"
    assert before + realm.life - 2 <= loaded.expires_at <= before + realm.life + 5
    assert key_of(loaded).key_id.reveal() == f"ST${variables[TOKEN]}"
    assert key_of(loaded).private_key.reveal() == variables[KEY]


def test_files_are_read_anew_at_each_load(strategy, standing, variables, realm, key, tmp_path, key_of) -> None:
    """On the real file system: the platform replaces both files."""
    token_file, key_file, passphrase = tmp_path / "rpst", tmp_path / "key.pem", tmp_path / "passphrase"
    token_file.write_text(variables[TOKEN] + "\n")
    key_file.write_text(pem(key, "sesame"))
    passphrase.write_text("sesame\n")
    environ = variables | {TOKEN: str(token_file), KEY: str(key_file), f"{KEY}_PASSPHRASE": str(passphrase)}
    here = standing("oracle", environ)
    one = strategy(type(here)(provider="oracle", machine=ThisMachine(environ), platform=here.platform))
    assert key_of(one.load()).private_key.reveal() == pem(key)
    other = fresh_key()
    token_file.write_text(realm.session_token(other.public_key()))
    with pytest.raises(SourceFailed, match=f"the token of {TOKEN} is for another key than {KEY}"):
        one.load()
    key_file.write_text(pem(other))
    assert key_of(one.load()).private_key.reveal() == pem(other)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({TOKEN: ""}, f"{TOKEN} is not set"),
        ({KEY: ""}, f"{KEY} is not set"),
        ({TOKEN: "/nowhere/rpst"}, f"the file that {TOKEN} names cannot be read"),
        ({KEY: "/nowhere/key"}, f"the file that {KEY} names cannot be read"),
        ({f"{KEY}_PASSPHRASE": "/nowhere/x"}, f"the file that {KEY}_PASSPHRASE names cannot be read"),
        ({TOKEN: "canary-7f3a"}, "no token of three parts"),
        ({TOKEN: "a.e30.c"}, "its token names no end"),
        ({KEY: "canary-7f3a"}, "no private key in PEM form"),
        ({"OCI_RESOURCE_PRINCIPAL_VERSION": ""}, "the version must be 2.2"),
        ({"OCI_RESOURCE_PRINCIPAL_VERSION": "1.1"}, "OCI_RESOURCE_PRINCIPAL_VERSION is 1.1, and only 2.2 is supported"),
        ({"OCI_RESOURCE_PRINCIPAL_VERSION": "2.1.1"}, "is 2.1.1, and only 2.2"),
        ({"OCI_RESOURCE_PRINCIPAL_VERSION": "3.0"}, "is 3.0, and only 2.2"),
        ({"OCI_RESOURCE_PRINCIPAL_VERSION": "canary-7f3a"}, "of a version that nobody knows, and only 2.2"),
    ],
)
def test_what_is_missing_or_wrong_is_said(strategy, standing, variables, change, reason) -> None:
    one = strategy(standing("oracle", variables | change))
    assert one.unavailable() is None
    with pytest.raises(SourceFailed, match=reason) as caught:
        one.load()
    assert "canary" not in caught.value.reason


def test_a_wrong_passphrase(strategy, standing, variables, key) -> None:
    with pytest.raises(SourceFailed, match="passphrase is wrong"):
        strategy(standing("oracle", variables | {KEY: pem(key, "a"), f"{KEY}_PASSPHRASE": "canary-7f3a"})).load()


@pytest.fixture(scope="module")
def sdk() -> Iterator[Sdks]:
    running = Sdks(cloud_interpreter(), "oci")
    yield running
    running.close()


VENDOR = """
from oci._vendor import requests
signer = oci.auth.signers.get_resource_principals_signer()
request = requests.Request("POST", url, data=body.encode(), headers=headers).prepare()
signer.do_request_sign(request)
result = {name.lower(): value for name, value in request.headers.items()}
"""


def test_a_request_is_signed_as_oracles_own_library_signs_it(strategy, standing, variables, realm, sdk, key_of) -> None:
    """The same bytes, from the same variables: this kind of signature gives the same each time."""
    host, path, body = "inference.generativeai.eu-frankfurt-1.oci.oraclecloud.com", "/20231130/actions/chat", "{}"
    headers = {"date": email.utils.formatdate(NOW, usegmt=True), "content-type": "application/json"}
    theirs: dict[str, Any] = sdk.run(VENDOR, variables, url=f"https://{host}{path}", body=body, headers=headers)
    loaded = strategy(standing("oracle", variables)).load()
    request = Request(
        method="POST",
        url=Url("https", host, 443, path),
        headers=Headers([(b"Content-Type", b"application/json")]),
        door=Door.TUNNEL,
        body=body.encode(),
    )
    ours = oci.sign(request, key_of(loaded), now=NOW)
    for name in ("authorization", "date", "x-content-sha256", "content-length"):
        assert ours.headers.all(name) == [theirs[name]]
