"""An OCI signing key from the fields of a secret: read, held against its fingerprint, and freed of its passphrase."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Mapping

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from llmauth.secrets import OciKey, Secret

FIELDS = ("tenancy", "user", "fingerprint", "private_key", "passphrase", "security_token")
# As OCI's own configuration files spell them.
ALIASES: Mapping[str, str] = {"pass_phrase": "passphrase", "key_content": "private_key"}

_OCID = re.compile(r"ocid1\.[a-z]+\.[a-z0-9-]+\.[a-z0-9-]*\.[A-Za-z0-9._-]+")
_FINGERPRINT = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){15}")
_TOKEN = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
# Under this no signature of a cloud is worth its name, and above it one takes longer than a request should wait.
_BITS = (2048, 8192)


def made(fields: Mapping[str, Secret]) -> OciKey:
    """The key of `tenancy`, `user`, `fingerprint` and `private_key`, or of `security_token` and `private_key`.

    ValueError says what is missing or wrong, and repeats no value.
    """
    if "private_key" not in fields:
        raise ValueError("the secret holds OCI fields without private_key")
    key = _parsed(fields["private_key"].reveal(), fields.get("passphrase"))
    token = fields.get("security_token")
    key_id = _of_user(fields, key) if token is None else _of_session(token.reveal())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return OciKey(key_id=Secret(key_id), private_key=Secret(pem.decode("ascii")))


def ends_at(token: Secret) -> float | None:
    """When a security token ends, as Unix time; `None` where it does not say so."""
    payload = token.reveal().split(".")[1:2]
    try:
        claims = json.loads(base64.urlsafe_b64decode(payload[0] + "=" * (-len(payload[0]) % 4)))
        ends = float(claims["exp"])
    except (ValueError, TypeError, LookupError, RecursionError, OverflowError):
        return None
    return ends if math.isfinite(ends) else None


def _of_user(fields: Mapping[str, Secret], key: RSAPrivateKey) -> str:
    parts = []
    for name in ("tenancy", "user", "fingerprint"):
        if name not in fields:
            raise ValueError(f"the secret holds OCI fields without {name}")
        parts.append(fields[name].reveal().strip())
    for name, value in zip(("tenancy", "user"), parts, strict=False):
        if not _OCID.fullmatch(value):
            raise ValueError(f"its field {name} is no OCID: those begin with ocid1.{name}.")
    parts[2] = parts[2].lower()
    if not _FINGERPRINT.fullmatch(parts[2]):
        raise ValueError("its field fingerprint is not sixteen pairs of hex digits with ':' between them")
    if parts[2] != fingerprint(key):
        # Oracle would only say NotAuthenticated.
        raise ValueError("its fingerprint is of another key than private_key")
    return "/".join(parts)


def _of_session(token: str) -> str:
    text = token.strip().removeprefix("ST$")
    if not _TOKEN.fullmatch(text):
        raise ValueError("its field security_token is no token of three parts")
    return f"ST${text}"


def fingerprint(key: RSAPrivateKey) -> str:
    """MD5 of the public key, in pairs of hex digits: the name that Oracle gives a key."""
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.md5(der, usedforsecurity=False).digest().hex(":")


def _parsed(pem: str, passphrase: Secret | None) -> RSAPrivateKey:
    # In a variable or a JSON file line breaks are often written as the two characters \n.
    text = pem.replace("\\n", "\n").strip() + "\n"
    if "-----BEGIN " not in text or "PRIVATE KEY-----" not in text:
        raise ValueError("its field private_key is no private key in PEM form")
    password = passphrase.reveal().encode() if passphrase else None
    try:
        key = _loaded(text.encode("ascii"), password)
    except TypeError:
        raise ValueError("its private_key is encrypted; give its passphrase as well") from None
    except (ValueError, UnsupportedAlgorithm):
        reason = "its private_key cannot be read" + (", or its passphrase is wrong" if password else "")
        raise ValueError(reason) from None
    if not isinstance(key, RSAPrivateKey) or not _BITS[0] <= key.key_size <= _BITS[1]:
        raise ValueError(f"its private_key is no RSA key of {_BITS[0]} to {_BITS[1]} bits")
    return key


def _loaded(pem: bytes, password: bytes | None) -> object:
    try:
        return load_pem_private_key(pem, password)
    except TypeError:
        if password is None:
            raise
        # A passphrase beside a key that needs none, as Oracle's own tools allow.
        return load_pem_private_key(pem, None)
