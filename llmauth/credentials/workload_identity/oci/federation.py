"""Oracle's federation endpoint: a request signed with the key of a certificate, answered with a session token."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from email.utils import formatdate
from typing import Protocol

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate

from llmauth.credentials.workload_identity.oci.session import code, public_part, told
from llmauth.outbound import Answer, Outbound
from llmauth.sources import SourceFailed

PATH = "/v1/x509"

_TENANCY = re.compile(r"ocid1\.tenancy\.[a-z0-9-]+\.[a-z0-9-]*\.[A-Za-z0-9._-]+")
_TENANCY_NAMES = ("opc-tenant:", "opc-identity:")


class Shown(Protocol):
    """A certificate with its key, and those above it."""

    @property
    def leaf(self) -> Certificate: ...

    @property
    def key(self) -> RSAPrivateKey: ...

    @property
    def intermediates(self) -> tuple[Certificate, ...]: ...


def token(outbound: Outbound, host: str, shown: Shown, key: RSAPrivateKey, now: float) -> str:
    """A session token for `key`, given to whom this certificate names; blocks. SourceFailed with Oracle's code."""
    asked = {
        "certificate": _plain(shown.leaf),
        "publicKey": public_part(key),
        "intermediateCertificates": [_plain(one) for one in shown.intermediates],
    }
    body = json.dumps(asked).encode("ascii")
    fields = signed(body, key_id(shown.leaf), shown.key, now)
    return _token(outbound.ask("POST", f"https://{host}{PATH}", fields, body))


def key_id(leaf: Certificate) -> str:
    """How a signature names the key of a certificate: by the tenancy in its subject, and by its fingerprint."""
    return f"{_tenancy(leaf)}/fed-x509/{leaf.fingerprint(hashes.SHA1()).hex(':').upper()}"


def signed(body: bytes, named: str, key: RSAPrivateKey, now: float) -> Mapping[str, str]:
    """The fields of the request, its signature among them.

    It covers what Oracle's own libraries cover here, which leave `host` out: elsewhere it is signed as well.
    """
    values = {
        "date": formatdate(now, usegmt=True),
        "(request-target)": f"post {PATH}",
        "content-length": str(len(body)),
        "content-type": "application/json",
        "x-content-sha256": base64.b64encode(hashlib.sha256(body).digest()).decode("ascii"),
    }
    text = "\n".join(f"{name}: {value}" for name, value in values.items())
    signature = base64.b64encode(key.sign(text.encode("ascii"), PKCS1v15(), hashes.SHA256())).decode("ascii")
    authorization = (
        f'Signature algorithm="rsa-sha256",headers="{" ".join(values)}",keyId="{named}",'
        f'signature="{signature}",version="1"'
    )
    sent = ("date", "content-type", "x-content-sha256")  # the length is put in where the request is written
    return {name: values[name] for name in sent} | {"authorization": authorization, "accept": "application/json"}


def _tenancy(leaf: Certificate) -> str:
    for name in leaf.subject:
        for prefix in _TENANCY_NAMES:
            if isinstance(name.value, str) and name.value.startswith(prefix):
                tenancy = name.value.removeprefix(prefix)
                if _TENANCY.fullmatch(tenancy):
                    return tenancy
    raise SourceFailed("the certificate of this instance names no tenancy")


def _plain(certificate: Certificate) -> str:
    return base64.b64encode(certificate.public_bytes(Encoding.DER)).decode("ascii")


def _token(answer: Answer) -> str:
    if answer.status in (400, 401, 403, 404):
        raise SourceFailed(
            f"OCI refused the certificate of this instance: {code(answer)}; is this machine's clock right?"
        )
    if answer.status != 200:
        raise SourceFailed(f"OCI gave no session token: {code(answer)}")
    given = told(answer).get("token")
    if not isinstance(given, str):
        raise SourceFailed("OCI answered without a session token")
    return given
