"""A session at Oracle's cloud: a key that is made for it, and the token that was given for that key."""

from __future__ import annotations

import base64
import re
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from llmauth.credentials import oci_key
from llmauth.outbound import Answer
from llmauth.secrets import Loaded, OciKey, Secret
from llmauth.sources import SourceFailed

_BITS = 2048
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def fresh_key() -> RSAPrivateKey:
    """A new key, for one session. Takes tens of milliseconds, seldom a tenth of a second."""
    return rsa.generate_private_key(65537, _BITS)


def public_part(key: RSAPrivateKey) -> str:
    """The public key as Oracle's services read it: PEM without its armour and line breaks."""
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(der).decode("ascii")


def session(token: str, key: RSAPrivateKey, source: str) -> Loaded:
    """The credential of a token and the key that it was asked for; SourceFailed where the token is none."""
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")
    fields = {"security_token": Secret(token), "private_key": Secret(pem)}
    try:
        return lasting(oci_key.made(fields), source)
    except ValueError as wrong:
        raise SourceFailed(f"{source}: what was given cannot be used: {wrong}") from None


def lasting(key: OciKey, source: str) -> Loaded:
    """A key whose token says when it ends; SourceFailed where it does not, for then nobody would renew it in time."""
    ends = oci_key.ends_at(key.key_id)
    if ends is None:
        raise SourceFailed(f"{source}: its token names no end")
    return Loaded(credential=key, source=source, expires_at=ends)


def told(answer: Answer) -> dict[str, Any]:
    """What an answer says as a JSON object; an empty one where it says nothing of the kind."""
    return answer.object() or {}


def code(answer: Answer) -> str:
    """Oracle's code for its refusal, where it has the form of one; else the status."""
    given = told(answer).get("code")
    return given if isinstance(given, str) and _CODE.fullmatch(given) else f"status {answer.status}"
