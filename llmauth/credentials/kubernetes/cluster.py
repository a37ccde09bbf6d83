"""The API server that a kubeconfig's context leads to: which of them is meant without being named, and as whom."""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from llmauth.addresses import HostPort, is_ip_literal, is_private, normalise_host
from llmauth.credentials import file
from llmauth.credentials.kubernetes.api import ApiServer
from llmauth.credentials.kubernetes.kubeconfig import Context, Entry, text
from llmauth.credentials.kubernetes.names import shown
from llmauth.credentials.kubernetes.pod import token_in
from llmauth.outbound import Trust
from llmauth.secrets import Secret
from llmauth.sources import SourceFailed, SourceUnavailable

# Docker Desktop and k3d name this machine so; both lead to it by its hosts file.
_THIS_MACHINE = ("localhost", "kubernetes.docker.internal", "host.docker.internal", "host.k3d.internal")
_MINIKUBE = "minikube.sigs.k8s.io"

# What changes whom the connection believes, where it leads or who we are there. To leave it out would be to do
# something else than kubectl does.
_NOT_OF_CLUSTERS = {
    "insecure-skip-tls-verify": "asks for TLS without any check",
    "proxy-url": "leads through a proxy of its own",
    "tls-server-name": "expects a certificate of another name",
}
_NOT_OF_USERS = {
    "exec": "has a program make its credentials, and no program is run here",
    "auth-provider": "has a plugin make its credentials, and none is run here",
    "username": "has a password, which Kubernetes takes no more",
    "password": "has a password, which Kubernetes takes no more",
    "as": "acts as somebody else",
    "as-uid": "acts as somebody else",
    "as-groups": "acts as somebody else",
    "as-user-extra": "acts as somebody else",
}
_SERVER_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*")
# OpenSSL would ask for the passphrase on the terminal, and wait.
_LOCKED_KEY = re.compile(r"BEGIN ENCRYPTED |^Proc-Type:.*ENCRYPTED", re.MULTILINE)


def check_meant(context: Context) -> None:
    """SourceUnavailable unless a context that nobody named leads to a cluster on this machine.

    A kubeconfig's current context is whatever its owner worked with last, a production cluster perhaps, and its
    secrets are not to be used because somebody started a gateway.
    """
    (host, _), _ = _place(context.cluster)
    if not _on_this_machine(host) and not (_is_minikube(context.cluster) and is_ip_literal(host) and is_private(host)):
        name = shown(context.name)
        raise SourceUnavailable(
            f"the kubeconfig's current context {name} is of no cluster on this machine (minikube, kind, k3d), so it is "
            f"left alone; `context: {name}` uses it"
        )


def server(context: Context, namespace: str | None) -> ApiServer:
    """The API server and us as the context's user; SourceFailed where its files cannot be read, or it asks for what
    is not done here."""
    what = f"the kubeconfig's context {shown(context.name)}"
    _refuse(context.cluster, _NOT_OF_CLUSTERS, f"{what}: its cluster")
    _refuse(context.user, _NOT_OF_USERS, f"{what}: its user")
    certificate = _pem(context.user, "client-certificate")
    token = _token(context.user)
    if certificate is None and token is None:
        raise SourceFailed(f"{what}: its user has neither a client certificate nor a token")
    place, path = _place(context.cluster)
    return ApiServer(
        place=place,
        path=path,
        namespace=namespace or context.namespace or "default",
        trust=_trust(context, certificate, what),
        token=token,
        caller=f"the user of {what}",
        origin=what,
    )


def _place(cluster: Entry) -> tuple[HostPort, str]:
    """Where its API is, and the path before the API's own: Rancher serves many clusters by one name."""
    try:
        parts = urlsplit(text(cluster.fields, "server", "it"))
        path = parts.path.rstrip("/")
        if parts.scheme != "https" or not parts.hostname or not _SERVER_PATH.fullmatch(path):
            raise ValueError
        if parts.username is not None or parts.query or parts.fragment:
            raise ValueError
        return HostPort(normalise_host(parts.hostname), parts.port or 443), path
    except (ValueError, SourceFailed):
        what = f"the kubeconfig's cluster {shown(cluster.name)}"
        raise SourceFailed(f"{what} has no server of the form https://host:port") from None


def _on_this_machine(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host in _THIS_MACHINE or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified  # 0.0.0.0 is what k3d writes


def _is_minikube(cluster: Entry) -> bool:
    # minikube marks what it writes; its virtual machine has an address of its own, private as those of a company are.
    marks = cluster.fields.get("extensions")
    told = [one.get("extension") for one in marks if isinstance(one, dict)] if isinstance(marks, list) else []
    return cluster.name == "minikube" or any(isinstance(one, dict) and one.get("provider") == _MINIKUBE for one in told)


def _refuse(entry: Entry, fields: Mapping[str, str], what: str) -> None:
    for name, why in fields.items():
        if entry.fields.get(name):
            raise SourceFailed(f"{what} {why} ({name})")


def _trust(context: Context, certificate: str | None, what: str) -> Trust:
    key = _pem(context.user, "client-key") if certificate is not None else None
    if certificate is not None and key is None:
        raise SourceFailed(f"{what}: its user has a client certificate without its key")
    if key is not None and _LOCKED_KEY.search(key):
        raise SourceFailed(f"{what}: its client key has a passphrase, which nobody could type here")
    authority = _pem(context.cluster, "certificate-authority")
    return Trust(
        ca_data=authority,
        # As for kubectl: a cluster without an authority of its own has a certificate of a public one.
        roots=authority is None,
        private=True,
        certificate=certificate,
        key=Secret(key) if key is not None else None,
    )


def _token(user: Entry) -> Callable[[], Secret] | None:
    where = _where(user)
    named, token = text(user.fields, "tokenFile", where), text(user.fields, "token", where)
    if named:
        # "If both Token and TokenFile are specified, the TokenFile will be periodically read", and counts.
        return lambda: token_in(_file(user, named, "tokenFile"), f"{where}: tokenFile")
    return (lambda: token_in(token, f"{where}: token")) if token else None


def _pem(entry: Entry, name: str) -> str | None:
    """A certificate or key: what stands in the file in base64 counts before the path, as it does for kubectl."""
    data = entry.fields.get(f"{name}-data")
    if data:
        try:
            return base64.b64decode(data, validate=True).decode("ascii")
        except (ValueError, TypeError):
            raise SourceFailed(f"{_where(entry)}: {name}-data is no PEM in base64") from None
    path = text(entry.fields, name, _where(entry))
    return _file(entry, path, name) if path else None


def _file(entry: Entry, path: str, name: str) -> str:
    try:
        return file.read_text(entry.folder / path)
    except (SourceUnavailable, SourceFailed) as refusal:
        raise SourceFailed(f"{_where(entry)}: {name}: {refusal.reason}") from None


def _where(entry: Entry) -> str:
    return f"the kubeconfig's entry {shown(entry.name)}"
