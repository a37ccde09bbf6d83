"""An OCI signing key out of the fields of a secret: what is taken, what is refused, and what is said of it."""

from __future__ import annotations

import base64
import json
import traceback

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from llmauth.credentials import oci_key
from llmauth.credentials.fields import credential_from
from llmauth.demo.credentials import OciIdentity
from llmauth.secrets import ApiKey, OciKey, Secret
from llmauth.signing import oci
from llmauth.sources import SourceFailed

IDENTITY = OciIdentity.random()
USER = {"tenancy": IDENTITY.tenancy, "user": IDENTITY.user, "fingerprint": IDENTITY.fingerprint}
FIELDS = {**USER, "private_key": IDENTITY.private_key}
TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjE4MDAwMDM2MDB9.c2ln"


def made(**changed: str | None) -> OciKey:
    fields = {name: Secret(value) for name, value in (FIELDS | changed).items() if value is not None}
    found = credential_from(fields, "oracle")
    assert isinstance(found, OciKey)
    return found


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, encryption: KeySerializationEncryption) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode()


def test_the_four_fields() -> None:
    assert made().key_id == Secret(IDENTITY.key_id)
    assert not oci.is_slow(made())


@pytest.mark.parametrize(
    "written",
    [
        json.dumps(FIELDS),
        json.dumps({**FIELDS, "region": "x", "note": 7}),
        json.dumps({name.upper(): value for name, value in FIELDS.items()}),
        json.dumps({**USER, "key_content": IDENTITY.private_key}),
        json.dumps({**FIELDS, "private_key": IDENTITY.private_key.replace("\n", "\\n")}),
        json.dumps({**FIELDS, "private_key": IDENTITY.private_key.replace("\n", "\r\n")}),
        json.dumps({**FIELDS, "fingerprint": IDENTITY.fingerprint.upper() + "\n"}),
        json.dumps({**FIELDS, "passphrase": "of no use"}),
    ],
)
def test_spellings_of_the_same_key(written: str) -> None:
    assert credential_from(written, "oracle") == made()


def test_a_passphrase_opens_the_key_and_is_not_kept() -> None:
    encrypted = pem(oci_key._parsed(IDENTITY.private_key, None), BestAvailableEncryption(b"two words"))
    found = made(private_key=encrypted, passphrase="two words\n")
    assert found == made()
    assert (
        credential_from(json.dumps({**FIELDS, "private_key": encrypted, "pass_phrase": "two words"}), "oracle") == found
    )
    with pytest.raises(SourceFailed, match="encrypted; give its passphrase"):
        made(private_key=encrypted)
    with pytest.raises(SourceFailed, match="or its passphrase is wrong"):
        made(private_key=encrypted, passphrase="canary")


@pytest.mark.parametrize("token", [TOKEN, f"ST${TOKEN}", f"{TOKEN}\n"])
def test_a_security_token_takes_the_place_of_the_user(token: str) -> None:
    found = made(tenancy=None, user=None, fingerprint=None, security_token=token)
    assert found.key_id == Secret(f"ST${TOKEN}")
    assert made(security_token=token) == found


@pytest.mark.parametrize(
    ("token", "ends"),
    [(TOKEN, 1_800_003_600.0), ("a.b.c", None), ("", None), ("a.bnVsbA.c", None), ("a.W10.c", None)],
)
def test_the_end_stands_in_the_token(token: str, ends: float | None) -> None:
    assert oci_key.ends_at(Secret(token)) == ends


@pytest.mark.parametrize("end", ["NaN", "Infinity", "1e999", "9" * 400])
def test_an_end_that_is_no_time_is_none(end: str) -> None:
    payload = base64.urlsafe_b64encode(f'{{"exp": {end}}}'.encode()).decode().rstrip("=")
    assert oci_key.ends_at(Secret(f"a.{payload}.c")) is None


LARGE = rsa.generate_private_key(65537, 2048)
NO_PRIVATE_KEY = LARGE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"private_key": None}, "without private_key"),
        ({"user": None}, "without user"),
        ({"tenancy": None}, "without tenancy"),
        ({"fingerprint": None}, "without fingerprint"),
        ({"user": "canary-7f3a"}, "user is no OCID"),
        ({"tenancy": 'ocid1.tenancy.oc1..a"canary-7f3a'}, "tenancy is no OCID"),
        ({"fingerprint": "canary-7f3a"}, "sixteen pairs"),
        ({"fingerprint": ":".join(["00"] * 16)}, "of another key"),
        ({"private_key": pem(LARGE, NoEncryption())}, "of another key"),
        ({"private_key": "canary-7f3a"}, "no private key in PEM"),
        ({"private_key": NO_PRIVATE_KEY}, "no private key in PEM"),
        ({"private_key": IDENTITY.private_key[:300] + IDENTITY.private_key[400:]}, "cannot be read"),
        ({"private_key": IDENTITY.private_key.replace("M", "é", 1)}, "cannot be read"),
        ({"private_key": pem(ec.generate_private_key(ec.SECP256R1()), NoEncryption())}, "no RSA key"),
        ({"private_key": pem(rsa.generate_private_key(65537, 1024), NoEncryption())}, "no RSA key of 2048"),
        ({"private_key": "\n"}, "private_key is empty"),
        ({"security_token": "canary-7f3a"}, "no token of three parts"),
        ({"api_key": "canary-7f3a"}, "both an OCI signing key and another"),
        ({"security_token": TOKEN, "token": "canary-7f3a"}, "both an OCI signing key and another"),
    ],
)
def test_what_is_no_key_is_refused_without_its_value(changed: dict[str, str | None], reason: str) -> None:
    with pytest.raises(SourceFailed, match=reason) as caught:
        made(**changed)
    assert "canary" not in "".join(traceback.format_exception(caught.value))


def test_one_string_is_an_api_key_and_a_key_without_its_owner_is_told() -> None:
    assert credential_from("sk-1\n", "oracle") == ApiKey(value=Secret("sk-1"))
    with pytest.raises(SourceFailed, match="private key alone; give tenancy, user and fingerprint"):
        credential_from(IDENTITY.private_key, "oracle")
    with pytest.raises(SourceFailed, match="tenancy, user, fingerprint and private_key, or api_key"):
        credential_from("{}", "oracle")


def test_other_providers_know_no_user() -> None:
    assert credential_from('{"api_key": "sk-1", "user": 7, "private_key": "x y"}', "openai") == ApiKey(
        value=Secret("sk-1")
    )
