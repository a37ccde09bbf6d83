"""An OCI signing key as the variables of Oracle's own command line name it: `OCI_CLI_USER` and its like."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from llmauth.credentials import oci_key
from llmauth.credentials.fields import credential_at
from llmauth.credentials.file import read_text
from llmauth.secrets import Loaded, Secret
from llmauth.sources import SourceFailed, SourceUnavailable

_PLAIN: Mapping[str, str] = {
    "OCI_CLI_TENANCY": "tenancy",
    "OCI_CLI_USER": "user",
    "OCI_CLI_FINGERPRINT": "fingerprint",
    "OCI_CLI_KEY_CONTENT": "private_key",
    "OCI_CLI_PASSPHRASE": "passphrase",
}
# A variable that names a file goes after the one that holds the text itself, as it does for Oracle's tools.
_FILES: Mapping[str, str] = {
    "OCI_CLI_KEY_FILE": "private_key",
    "OCI_CLI_SECURITY_TOKEN_FILE": "security_token",
}
_KEYS = ("OCI_CLI_KEY_CONTENT", "OCI_CLI_KEY_FILE")
_PLACE = "the OCI_CLI_* variables of the environment"


def load(environ: Mapping[str, str]) -> Loaded:
    """The key that they name, read anew from its files; SourceUnavailable where none is named."""
    if not any(environ.get(name) for name in _KEYS):
        if any(environ.get(name) for name in ("OCI_CLI_USER", "OCI_CLI_FINGERPRINT", "OCI_CLI_SECURITY_TOKEN_FILE")):
            raise SourceFailed(f"{_PLACE} name an OCI identity and no key: set {' or '.join(_KEYS)}")
        raise SourceUnavailable(f"neither {' nor '.join(_KEYS)} is set")
    fields = {field: Secret(value) for name, field in _PLAIN.items() if (value := environ.get(name))}
    for name, field in _FILES.items():
        path = environ.get(name)
        if path and field not in fields:
            fields[field] = _read(name, path)
    credential = credential_at(_PLACE, fields, "oracle")
    token = fields.get("security_token")
    ends = oci_key.ends_at(token) if token is not None else None
    named = next(name for name in _KEYS if environ.get(name))
    return Loaded(credential=credential, source=f"environment variable {named}", expires_at=ends)


def _read(variable: str, path: str) -> Secret:
    try:
        return Secret(read_text(Path(path).expanduser()))
    except (SourceUnavailable, SourceFailed) as refusal:
        raise SourceFailed(f"the file that {variable} names: {refusal.reason}") from None
