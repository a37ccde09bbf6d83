"""Oracle's resource principal, version 2.2: a session token and its key, out of variables or files of the platform."""

from __future__ import annotations

import base64
import binascii
import os.path
import re
from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from llmauth.credentials import oci_key
from llmauth.credentials.workload_identity.oci.session import lasting
from llmauth.outbound.objects import json_object
from llmauth.platform import Machine
from llmauth.secrets import Loaded, OciKey, Secret
from llmauth.sources import SourceFailed

VERSION = "OCI_RESOURCE_PRINCIPAL_VERSION"
TOKEN = "OCI_RESOURCE_PRINCIPAL_RPST"
KEY = "OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM"
PASSPHRASE = "OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM_PASSPHRASE"
ENDPOINTS = ("OCI_RESOURCE_PRINCIPAL_RPT_ENDPOINT", "OCI_RESOURCE_PRINCIPAL_RPST_ENDPOINT")

SOURCE = "resource principal"
_KNOWN = "2.2"
_OTHERS = frozenset({"1.1", "2.1", "2.1.1", "2.1.2", "3.0"})


def is_meant(environ: Mapping[str, str]) -> bool:
    """Whether the variables of a resource principal are here."""
    return any(environ.get(name) for name in (VERSION, TOKEN, KEY))


def load(machine: Machine) -> Loaded:
    """The token and its key, read anew each time: the platform replaces both files when it renews them."""
    _check_version(machine.environ.get(VERSION, ""))
    fields = {"security_token": _value(machine, TOKEN), "private_key": _value(machine, KEY)}
    if machine.environ.get(PASSPHRASE):
        fields["passphrase"] = _value(machine, PASSPHRASE)
    try:
        key = oci_key.made(fields)
    except ValueError as wrong:
        raise SourceFailed(f"{TOKEN} and {KEY}: {wrong}") from None
    if not _belong_together(key):
        raise SourceFailed(f"the token of {TOKEN} is for another key than {KEY}; while both are replaced this passes")
    return lasting(key, SOURCE)


def _check_version(version: str) -> None:
    if version == _KNOWN:
        return
    if not version:
        raise SourceFailed(f"{TOKEN} or {KEY} is set without {VERSION}: the version must be {_KNOWN}")
    named = version if version in _OTHERS else "of a version that nobody knows"
    raise SourceFailed(
        f"{VERSION} is {named}, and only {_KNOWN} is supported; on a virtual machine, unset it to use its own identity"
    )


def _value(machine: Machine, variable: str) -> Secret:
    """What a variable holds: the value itself, or the absolute path of the file that has it."""
    given = machine.environ.get(variable)
    if not given:
        raise SourceFailed(f"{VERSION} is {_KNOWN}, and {variable} is not set")
    if not os.path.isabs(given):
        return Secret(given)
    text = machine.read(given)
    if not text:
        raise SourceFailed(f"the file that {variable} names cannot be read, or is empty")
    return Secret(text)


def _belong_together(key: OciKey) -> bool:
    """Whether the token names this very key; true where it names none.

    The two files are replaced one after the other: between that, signatures would be refused for no visible reason.
    """
    named = _modulus_of(key.key_id.reveal())
    private = load_pem_private_key(key.private_key.reveal().encode("ascii"), None)
    assert isinstance(private, RSAPrivateKey)
    return named is None or named == private.public_key().public_numbers().n


def _modulus_of(token: str) -> int | None:
    claim = (json_object(_decoded(token.split(".")[1])) or {}).get("jwk")
    modulus = (json_object(claim) or {}).get("n") if isinstance(claim, str) else None
    if not isinstance(modulus, str) or not re.fullmatch(r"[A-Za-z0-9_-]+", modulus):
        return None
    return int.from_bytes(_decoded(modulus))


def _decoded(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (ValueError, binascii.Error):
        return b""
