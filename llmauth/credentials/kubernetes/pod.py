"""The API server as a pod knows it: two variables, and the files of its service account, read anew at each load."""

from __future__ import annotations

import re

from llmauth.addresses import HostPort, normalise_host
from llmauth.credentials.kubernetes.api import ApiServer
from llmauth.credentials.kubernetes.names import is_namespace
from llmauth.outbound import Trust
from llmauth.platform import Machine, Platform
from llmauth.secrets import Secret
from llmauth.sources import SourceFailed

FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"
_TOKEN, _CA, _NAMESPACE = f"{FOLDER}/token", f"{FOLDER}/ca.crt", f"{FOLDER}/namespace"

_SENDABLE = re.compile(r"[!-~]+")


def in_pod(machine: Machine, platform: Platform) -> bool:
    """Whether this is a pod. A kubeconfig that is found in one is somebody else's."""
    # Of the platform first: it knows a pod whose process was started with an empty environment.
    return platform.in_kubernetes or bool(machine.environ.get("KUBERNETES_SERVICE_HOST"))


def refused(machine: Machine) -> str | None:
    """Why a pod cannot ask the API at all, `None` where it can try."""
    if not machine.environ.get("KUBERNETES_SERVICE_HOST"):
        return "this is a pod, and KUBERNETES_SERVICE_HOST, which names its API server, is not set"
    if machine.read(_TOKEN) is None:
        return (
            "this pod has no token to ask the Kubernetes API with (automountServiceAccountToken: false, perhaps): "
            "mount the secret itself, or let the pod have the token"
        )
    return None


def server(machine: Machine, namespace: str | None) -> ApiServer:
    """The API server, and us as this pod's service account; SourceFailed for a file that is not as Kubernetes
    writes it."""
    certificate = machine.read(_CA)
    if not certificate:
        raise SourceFailed(f"{_CA} cannot be read: without it nobody could tell whether it is the API that answers")
    return ApiServer(
        place=_place(machine),
        namespace=namespace or _namespace(machine),
        # The cluster's own authority alone: that a public one vouches for an address inside proves nothing.
        trust=Trust(ca_data=certificate, roots=False, private=True),
        token=lambda: token_in(machine.read(_TOKEN), _TOKEN),
        caller="the service account of this pod",
        origin="the Kubernetes API",
    )


def token_in(text: str | None, place: str) -> Secret:
    """A bearer token from the text of a file; SourceFailed for what is none."""
    token = (text or "").strip()
    if not _SENDABLE.fullmatch(token):
        raise SourceFailed(f"{place} holds no token")
    return Secret(token)


def _place(machine: Machine) -> HostPort:
    host, port = machine.environ["KUBERNETES_SERVICE_HOST"], machine.environ.get("KUBERNETES_SERVICE_PORT") or "443"
    try:
        if not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 65536:
            raise ValueError
        return HostPort(normalise_host(host), int(port))
    except ValueError:
        wanted = "wanted the host and port of the API server"
        raise SourceFailed(
            f"KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT hold something else; {wanted}"
        ) from None


def _namespace(machine: Machine) -> str:
    name = machine.read(_NAMESPACE) or ""
    if not is_namespace(name):
        raise SourceFailed(f"{_NAMESPACE} names no namespace; say which with `namespace`")
    return name
