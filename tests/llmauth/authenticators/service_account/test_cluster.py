"""The API server, and us as its client."""

from __future__ import annotations

import time

import pytest

from llmauth.authenticators.reach import NotReached
from llmauth.authenticators.service_account.cluster import Cluster, default_server
from llmauth.outbound import Outbound
from tests.emulators.kubernetes_api import KubernetesApi
from tests.fixtures.accounts import cluster
from tests.fixtures.kubernetes import written

VERSION = "/version"


@pytest.fixture
def both(tmp_path):
    with cluster(time.time, tmp_path) as made:
        yield made


@pytest.fixture
def asked(both):
    api, pod = both
    return Cluster(Outbound(), server=api.url, ca_file=pod.folder / "ca.crt", token_file=pod.folder / "token")


@pytest.mark.parametrize(
    ("environ", "server"),
    [
        ({}, "https://kubernetes.default.svc"),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "https://10.0.0.1:443"),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "6443"}, "https://10.0.0.1:6443"),
        ({"KUBERNETES_SERVICE_HOST": "fd00::1"}, "https://[fd00::1]:443"),
    ],
)
def test_a_pod_is_told_where_its_api_server_is(environ, server) -> None:
    assert default_server(environ) == server


def test_it_is_asked_as_ourselves(both, asked) -> None:
    api, pod = both
    assert asked.ask("GET", VERSION).status == 200
    assert api.calls[-1].bearer == (pod.folder / "token").read_text()
    assert asked.own_issuer() == api.issuer


def test_a_newer_token_is_used_when_the_file_changes(both, asked) -> None:
    api, pod = both
    asked.ask("GET", VERSION)
    newer = pod.new_token(life=7200)
    asked.ask("GET", VERSION)
    assert api.calls[-1].bearer == newer


def test_another_authority_is_believed_when_the_file_changes(both, asked, tmp_path) -> None:
    api, pod = both
    asked.ask("GET", VERSION)
    with KubernetesApi() as other:
        written(pod.folder / "ca.crt", other.pem)
        with pytest.raises(NotReached, match="certificate"):
            asked.ask("GET", VERSION)
    written(pod.folder / "ca.crt", api.pem)
    assert asked.ask("GET", VERSION).status == 200


def test_a_server_of_another_authority_gets_no_token(both, tmp_path) -> None:
    """Whoever took the API server's address would collect our token, and vouch for whomever it liked."""
    _, pod = both
    with KubernetesApi() as other:
        stranger = Cluster(Outbound(), server=other.url, ca_file=pod.folder / "ca.crt", token_file=pod.folder / "token")
        with pytest.raises(NotReached):
            stranger.ask("GET", VERSION)
        assert other.calls == []


def test_a_token_that_is_refused_is_told_by_its_file(both, asked) -> None:
    api, _ = both
    api.new_signing_key()
    with pytest.raises(NotReached, match=r"token \(401 Unauthorized\)$"):
        asked.ask("GET", VERSION)


@pytest.mark.parametrize("content", ["", "a b", "a\r\nX: y", "é", "\x00"])
def test_a_file_that_holds_no_token_is_told(both, asked, content) -> None:
    _, pod = both
    (pod.folder / "token").write_text(content)
    with pytest.raises(NotReached, match="token"):
        asked.ask("GET", VERSION)
    assert asked.own_issuer() is None


@pytest.mark.parametrize("name", ["token", "ca.crt"])
def test_a_file_that_is_not_there_is_told(both, asked, name) -> None:
    _, pod = both
    (pod.folder / name).unlink()
    with pytest.raises(NotReached, match=f"{name}, cannot be read: FileNotFoundError"):
        asked.ask("GET", VERSION)
