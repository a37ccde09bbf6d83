"""The API server of the cluster: that this pod reaches it, and may have tokens of other pods reviewed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from llmauth.authenticators.reach import NotReached
from llmauth.authenticators.service_account import ServiceAccountOptions
from llmauth.authenticators.service_account.cluster import Cluster, default_server
from llmauth.authenticators.service_account.reviews import PATH
from llmauth.doctor.findings import Finding, fail, ok, skip
from llmauth.doctor.patient import Patient
from llmauth.doctor.pod.identity import platform_of
from llmauth.outbound import Answer
from llmauth.platform.machine import ThisMachine
from llmauth.platform.signals import SERVICE_ACCOUNT

_ROLE = "system:auth-delegator"
_BIND = f"kubectl create clusterrolebinding bedrock-proxy --clusterrole={_ROLE} --serviceaccount=NAMESPACE:NAME"
# Proves nobody: whether a review may be asked for is all that is wanted.
_NOBODY = "eyJhbGciOiJub25lIn0.e30."
_POLICY = "NetworkPolicy: allow egress from this pod to the API server (TCP 443 and 6443)"


def examine(patient: Patient) -> Iterator[Finding]:
    """Only where callers prove themselves by service accounts does it matter; a token of nobody is reviewed."""
    method = next((one for one in patient.settings.auth.methods if isinstance(one, ServiceAccountOptions)), None)
    if method is None:
        yield skip("API server not needed: service_account is not among auth.methods")
        return
    if not platform_of(patient).in_kubernetes and method.api_server is None:
        yield skip("API server not looked for: this is no pod")
        return
    cluster = _cluster(patient, method)
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": _NOBODY}}
    try:
        answer = cluster.ask("POST", PATH, body)
    except NotReached as why:
        yield fail(f"API server cannot be asked: {why}", _POLICY)
        return
    yield ok(f"API server answers ({cluster.server})")
    yield from _judged(answer, reviews=method.verify == "token_review")


def _judged(answer: Answer, *, reviews: bool) -> Iterator[Finding]:
    if answer.status in (200, 201):
        yield ok("TokenReview allowed")
    elif answer.status == 403 and reviews:
        yield fail("TokenReview denied: no service account is let in", _BIND)
    elif answer.status == 403:
        yield ok("TokenReview not allowed, and not needed (verify: jwks)")
    else:
        yield fail(f"TokenReview → {answer.status}", _BIND)


def _cluster(patient: Patient, method: ServiceAccountOptions) -> Cluster:
    machine = patient.machine
    root = machine.root if isinstance(machine, ThisMachine) else Path("/")
    folder = root / SERVICE_ACCOUNT.lstrip("/")
    return Cluster(
        patient.outbound,
        server=method.api_server or default_server(patient.environ),
        ca_file=method.ca_file or folder / "ca.crt",
        token_file=method.token_file or folder / "token",
    )
