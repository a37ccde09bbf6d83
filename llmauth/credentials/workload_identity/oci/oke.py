"""The identity of a pod in Oracle's Kubernetes Engine: its service account's token for a session of its own."""

from __future__ import annotations

import base64
import binascii
import json
import re
import secrets

from llmauth.addresses import is_ip_literal
from llmauth.credentials.workload_identity.oci.session import code, fresh_key, public_part, session
from llmauth.outbound import Answer, Outbound, Trust
from llmauth.outbound.objects import json_object
from llmauth.platform import Machine
from llmauth.secrets import Loaded
from llmauth.sources import SourceFailed

HOST = "KUBERNETES_SERVICE_HOST"
CA_PATH = "OCI_KUBERNETES_SERVICE_ACCOUNT_CERT_PATH"
# Oracle's own libraries know no other port, path and token.
PORT = 12250
PATH = "/resourcePrincipalSessionTokens"
SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"

SOURCE = "OKE workload identity"
_TIME_LIMIT = 3.5
_HOST = re.compile(r"[A-Za-z0-9.:-]{1,253}")


def load(machine: Machine, outbound: Outbound) -> Loaded:
    """Ask the cluster for a session token, for a key that is made now; blocks. The pod's token is read each time."""
    url, trust = _url(machine), _trust(machine)
    # Kubernetes rotates it at 80 % of its life.
    token = _read(machine, f"{SERVICE_ACCOUNT}/token", "the pod has no service account token to show")
    key = fresh_key()
    fields = {
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/json",
        "Accept": "*/*",
        "opc-request-id": "/".join(secrets.token_hex(16) for _ in range(3)),
    }
    body = json.dumps({"podKey": public_part(key)}).encode("ascii")
    answer = outbound.trusting(trust, time_limit=_TIME_LIMIT).ask("POST", url, fields, body)
    return session(_token(answer), key, SOURCE)


def _url(machine: Machine) -> str:
    host = machine.environ.get(HOST, "")
    if not _HOST.fullmatch(host):
        raise SourceFailed(f"{HOST} is not set to the address of the cluster's API: is this a pod?")
    return f"https://{f'[{host}]' if is_ip_literal(host) and ':' in host else host}:{PORT}{PATH}"


def _trust(machine: Machine) -> Trust:
    path = machine.environ.get(CA_PATH) or f"{SERVICE_ACCOUNT}/ca.crt"
    trust = Trust(ca_data=_read(machine, path, "the cluster's CA is not there"), roots=False, private=True)
    try:
        trust.context()
    except SourceFailed:
        raise SourceFailed(f"{path} holds no certificate that could be the cluster's CA") from None
    return trust


def _read(machine: Machine, path: str, missing: str) -> str:
    text = machine.read(path)
    if not text or not text.isascii():
        raise SourceFailed(f"{missing}: {path} cannot be read; automountServiceAccountToken must not be false")
    return text


def _token(answer: Answer) -> str:
    if answer.status == 403:
        raise SourceFailed("OKE gave no session token (403): workload identity is for enhanced clusters only")
    if answer.status == 401:
        raise SourceFailed("OKE refused the token of the pod's service account (401)")
    if answer.status != 200:
        raise SourceFailed(f"OKE gave no session token: {code(answer)}")
    token = (json_object(_unwrapped(answer.body)) or {}).get("token")
    if not isinstance(token, str):
        raise SourceFailed("OKE answered without a session token")
    return token


def _unwrapped(body: bytes) -> bytes:
    """The JSON inside: it comes in base64, with or without quotation marks."""
    try:
        return base64.b64decode(body.strip().strip(b'"'), validate=True)
    except binascii.Error:
        return b""
