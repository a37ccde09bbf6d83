"""The files that variables point at: our CA beside every root that the user's programs trust already, never instead."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption
from cryptography.hazmat.primitives.serialization.pkcs12 import PKCS12Certificate, serialize_java_truststore

from llmauth.clients.roots import blocks_of, named_by, trusted_already

REPLACING = (
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "AWS_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "CARGO_HTTP_CAINFO",
    "PIP_CERT",
    "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
    "WX_CLIENT_VERIFY_REQUESTS",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "HTTPLIB2_CA_CERTS",
    "WEBSOCKET_CLIENT_CA_BUNDLE",
    "NIX_SSL_CERT_FILE",
    "CODEX_CA_CERTIFICATE",
)
"""Variables whose file takes the place of the roots that a program brings along: they get the bundle."""
ADDING = ("NODE_EXTRA_CA_CERTS", "DENO_CERT")
"""Variables whose file is added to them."""
JAVA_PASSWORD = "changeit"

PRELOAD = Path(__file__).with_name("preload.cjs")

# What google-auth exchanges for a token at a host that we answer ourselves; it opens nothing anywhere.
_GOOGLE = {
    "type": "authorized_user",
    "client_id": "llmauth.apps.googleusercontent.com",
    "client_secret": "placeholder",
    "refresh_token": "placeholder",
}
_OVERRULED = ("ca_certificate", "https_proxy", "use_proxy", "no_proxy")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustFiles:
    """What was written: `bundle` holds all roots, `extra` what a program adds to its own, `authority` our CA alone.

    `java` is a PKCS12 store of the bundle, `wgetrc` the user's own with our bundle in it, `google` a placeholder for
    application default credentials. `unread` are files with roots that the user has named and nobody could read.
    """

    folder: Path
    bundle: Path
    extra: Path
    authority: Path
    java: Path
    wgetrc: Path
    google: Path
    unread: tuple[Path, ...] = ()


def write_trust(
    folder: Path, authority_pem: str, environ: Mapping[str, str], *, more: Sequence[str] = ()
) -> TrustFiles:
    """Write them into a folder that is there and private; `more` are PEM texts to be trusted besides.

    ValueError where `authority_pem` holds no certificate.
    """
    ours = blocks_of(authority_pem)
    if not ours:
        raise ValueError("The proxy's certificate authority is no certificate in PEM.")
    ours += [block for text in more for block in blocks_of(text)]
    variables = (*REPLACING, *ADDING, "SSL_CERT_DIR")
    already, named = trusted_already(environ, variables), named_by(environ, variables)
    everything = tuple(dict.fromkeys((*already.blocks, *ours)))
    files = _files_in(folder, already.unread)
    files.bundle.write_text("".join(everything), encoding="ascii")
    files.extra.write_text("".join(dict.fromkeys((*named.blocks, *ours))), encoding="ascii")
    files.authority.write_text(authority_pem, encoding="ascii")
    files.java.write_bytes(java_store(everything))
    files.wgetrc.write_text(_wgetrc(environ, files.bundle), encoding="utf-8", errors="surrogateescape")
    files.google.write_text(json.dumps(_GOOGLE), encoding="ascii")
    for file in folder.iterdir():
        file.chmod(0o600)
    return files


def java_store(blocks: Sequence[str]) -> bytes:
    """A PKCS12 store whose entries Java takes for trusted, as `keytool -importcert` would write it."""
    entries = [PKCS12Certificate(each, f"root-{number}".encode()) for number, each in enumerate(_read(blocks))]
    return serialize_java_truststore(entries, BestAvailableEncryption(JAVA_PASSWORD.encode()))


def _read(blocks: Sequence[str]) -> Iterator[x509.Certificate]:
    for block in blocks:
        # Some old roots have what today's rules forbid: a warning, and in a later version of the library an error.
        with suppress(ValueError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield x509.load_pem_x509_certificate(block.encode("ascii"))


def _files_in(folder: Path, unread: tuple[Path, ...]) -> TrustFiles:
    return TrustFiles(
        folder=folder,
        bundle=folder / "bundle.pem",
        extra=folder / "extra.pem",
        authority=folder / "ca.pem",
        java=folder / "java.p12",
        wgetrc=folder / "wgetrc",
        google=folder / "google.json",
        unread=unread,
    )


def _wgetrc(environ: Mapping[str, str], bundle: Path) -> str:
    """The user's own settings but for what leads around the proxy, and the bundle: wget has no variable for it."""
    own = environ.get("WGETRC") or (f"{environ['HOME']}/.wgetrc" if environ.get("HOME") else "")
    try:
        lines = Path(own).read_text(encoding="utf-8", errors="surrogateescape").splitlines() if own else []
    except OSError:
        lines = []
    # GNU Wget manual, 6.2: names of commands are "case-insensitive, underscore-insensitive and minus-insensitive".
    overruled = {name.replace("_", "") for name in _OVERRULED}
    kept = [line for line in lines if _command(line) not in overruled]
    return "\n".join((*kept, f"ca_certificate = {bundle}", ""))


def _command(line: str) -> str:
    return line.partition("=")[0].strip().lower().replace("_", "").replace("-", "")
