"""A pod's own way to the API: its variables and the files of its service account."""

from __future__ import annotations

import pytest

from llmauth.addresses import HostPort
from llmauth.credentials.kubernetes import pod
from llmauth.platform import Platform, SimulatedMachine
from llmauth.secrets import Secret
from llmauth.sources import SourceFailed

FILES = {f"{pod.FOLDER}/token": "e.e.e", f"{pod.FOLDER}/ca.crt": "PEM", f"{pod.FOLDER}/namespace": "llmauth"}


def machine(files=FILES, host: str = "10.0.0.1", **environ: str) -> SimulatedMachine:
    return SimulatedMachine({"KUBERNETES_SERVICE_HOST": host, **environ}, files)


def without(name: str) -> dict[str, str]:
    return {path: text for path, text in FILES.items() if not path.endswith(name)}


def test_a_pod() -> None:
    server = pod.server(machine(KUBERNETES_SERVICE_PORT="6443"), None)
    assert (server.place, server.namespace) == (HostPort("10.0.0.1", 6443), "llmauth")
    assert server.token is not None
    assert server.token() == Secret("e.e.e")
    assert (server.trust.ca_data, server.trust.roots, server.trust.private) == ("PEM", False, True)


def test_the_port_is_443_where_none_is_named() -> None:
    assert pod.server(machine(KUBERNETES_SERVICE_PORT=""), "other").place.port == 443


def test_an_ipv6_cluster() -> None:
    assert str(pod.server(machine(host="fd00::1"), None).place) == "[fd00::1]:443"


def test_the_namespace_that_is_given_counts() -> None:
    assert pod.server(machine(without("namespace")), "other").namespace == "other"


@pytest.mark.parametrize("text", ["", "a/../b", "a\nb"])
def test_a_namespace_that_cannot_be_one(text) -> None:
    with pytest.raises(SourceFailed, match="names no namespace; say which with `namespace`"):
        pod.server(machine({**FILES, f"{pod.FOLDER}/namespace": text}), None)


def test_without_the_clusters_certificate_nobody_is_asked() -> None:
    with pytest.raises(SourceFailed, match=r"ca\.crt cannot be read"):
        pod.server(machine(without("ca.crt")), None)


@pytest.mark.parametrize(
    ("host", "port"), [("a/b", "443"), ("user@a", "443"), ("a", "0"), ("a", "65536"), ("a", "x"), ("a", "4 4")]
)
def test_variables_that_name_no_server(host, port) -> None:
    with pytest.raises(SourceFailed, match="wanted the host and port"):
        pod.server(machine(host=host, KUBERNETES_SERVICE_PORT=port), None)


@pytest.mark.parametrize("text", ["", "two words", "a\r\nX: y", "\u00e9"])
def test_a_token_that_is_none(text) -> None:
    server = pod.server(machine({**FILES, f"{pod.FOLDER}/token": text}), None)
    assert server.token is not None
    with pytest.raises(SourceFailed, match="token holds no token"):
        server.token()


def test_why_a_pod_cannot_ask() -> None:
    assert pod.refused(machine()) is None
    assert "automountServiceAccountToken: false" in str(pod.refused(machine(without("token"))))
    assert "KUBERNETES_SERVICE_HOST" in str(pod.refused(SimulatedMachine({}, FILES)))


def test_what_is_a_pod() -> None:
    assert pod.in_pod(machine({}), Platform())
    assert pod.in_pod(SimulatedMachine({}), Platform(in_kubernetes=True))
    assert not pod.in_pod(SimulatedMachine({"KUBERNETES_SERVICE_HOST": ""}), Platform())
