"""Which cluster a kubeconfig may lead to, as whom, and what of it is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from llmauth.credentials.kubernetes import cluster
from llmauth.credentials.kubernetes.api import read_secret
from llmauth.credentials.kubernetes.kubeconfig import Context, Entry
from llmauth.outbound import Outbound
from llmauth.secrets import Secret
from llmauth.sources import SourceFailed, SourceUnavailable
from tests.emulators.kubernetes_api import MASTERS, KubernetesApi
from tests.fixtures.kubernetes import in_base64, written

MARK = [{"name": "cluster_info", "extension": {"provider": "minikube.sigs.k8s.io", "version": "v1.37.0"}}]


@pytest.fixture
def api() -> Iterator[KubernetesApi]:
    with KubernetesApi() as running:
        running.keep("default", "openai", api_key="sk-1")
        yield running


@pytest.fixture
def context(tmp_path):
    """A factory: a context of these fields, whose files lie in a folder of its own."""

    def make(
        server: str, user: dict[str, Any], name: str = "dev", namespace: str | None = None, **more: Any
    ) -> Context:
        told = {"server": server, **{key.replace("_", "-"): value for key, value in more.items()}}
        return Context(
            name=name,
            cluster=Entry(name=name, fields=told, folder=tmp_path),
            user=Entry(name=name, fields=user, folder=tmp_path),
            namespace=namespace,
        )

    return make


# Which one is meant


@pytest.mark.parametrize(
    ("server", "name", "more"),
    [
        ("https://127.0.0.1:6443", "kind-dev", {}),
        ("https://127.3.2.1", "any", {}),
        ("https://[::1]:6443", "any", {}),
        ("https://localhost:6443", "rancher-desktop", {}),
        ("https://0.0.0.0:40123", "k3d-dev", {}),
        ("https://kubernetes.docker.internal:6443", "docker-desktop", {}),
        ("https://192.168.49.2:8443", "minikube", {}),
        ("https://192.168.39.7:8443", "profile-of-mine", {"extensions": MARK}),
    ],
)
def test_clusters_of_this_machine_need_no_name(context, server, name, more) -> None:
    cluster.check_meant(context(server, {}, name, **more))


@pytest.mark.parametrize(
    ("server", "name", "more"),
    [
        ("https://10.0.0.1:6443", "production", {}),
        ("https://192.168.49.2:8443", "production", {}),
        ("https://8.8.8.8", "minikube", {}),
        ("https://minikube.example.com", "minikube", {"extensions": MARK}),
        ("https://ABC.gr7.eu-west-1.eks.amazonaws.com", "arn:aws:eks:eu-west-1:111122223333:cluster/one", {}),
        ("https://localhost.example.com", "kind-dev", {}),
        ("https://127.0.0.1.example.com", "kind-dev", {}),
        ("https://10.0.0.1", "minikub", {"extensions": [{"extension": "minikube.sigs.k8s.io"}, 3]}),
    ],
)
def test_all_others_do(context, server, name, more) -> None:
    with pytest.raises(SourceUnavailable, match=r"`context: .*` uses it"):
        cluster.check_meant(context(server, {}, name, **more))


# How it is asked


def test_a_client_certificate_in_files(api, context, tmp_path) -> None:
    """minikube writes paths; those that are relative start at the kubeconfig's own folder."""
    certificate, key = api.certificate("minikube-user", MASTERS)
    written(tmp_path / "client.crt", certificate)
    written(tmp_path / "client.key", key)
    written(tmp_path / "ca.crt", api.pem)
    user = {"client-certificate": "client.crt", "client-key": str(tmp_path / "client.key")}
    server = cluster.server(context(api.url, user, certificate_authority="ca.crt"), None)
    assert read_secret(server, "openai", Outbound()).text("api_key") == "sk-1"
    assert server.token is None
    assert "authorization" not in api.calls[0].headers


def test_a_client_certificate_that_ended(api, context) -> None:
    certificate, key = map(in_base64, api.certificate("minikube-user", MASTERS, expired=True))
    user = {"client-certificate-data": certificate, "client-key-data": key}
    server = cluster.server(context(api.url, user, certificate_authority_data=in_base64(api.pem)), None)
    # The emulator ends the handshake, which a client that writes first meets in one way or another.
    with pytest.raises(SourceFailed, match=r"127\.0\.0\.1 cannot be asked: \w+Error"):
        read_secret(server, "openai", Outbound())


def test_a_token_file_is_read_anew_and_counts_before_a_token(api, context, tmp_path) -> None:
    api.allow(api.account("default", "dev"), "get", "secrets", "default")
    file = written(tmp_path / "token", api.token("default", "dev"))
    user = {"tokenFile": "token", "token": "stale"}
    server = cluster.server(context(api.url, user, certificate_authority_data=in_base64(api.pem)), None)
    read_secret(server, "openai", Outbound())
    api.new_signing_key()
    newer = api.token("default", "dev")
    file.write_text(newer + "\n")
    read_secret(server, "openai", Outbound())
    assert api.calls[-1].bearer == newer


def test_the_namespace(context) -> None:
    user = {"token": "t"}
    assert cluster.server(context("https://127.0.0.1", user), None).namespace == "default"
    assert cluster.server(context("https://127.0.0.1", user, namespace="theirs"), None).namespace == "theirs"
    assert cluster.server(context("https://127.0.0.1", user, namespace="theirs"), "ours").namespace == "ours"


def test_data_counts_before_a_path(context, tmp_path) -> None:
    written(tmp_path / "ca.crt", "path")
    given = context(
        "https://127.0.0.1",
        {"token": "t"},
        certificate_authority="ca.crt",
        certificate_authority_data=in_base64("data"),
    )
    server = cluster.server(given, None)
    assert (server.trust.ca_data, server.trust.roots) == ("data", False)


def test_public_roots_where_the_cluster_names_none(context) -> None:
    server = cluster.server(context("https://rancher.example.com/k8s/clusters/c-1/", {"token": "t"}), None)
    assert (server.trust.ca_data, server.trust.roots) == (None, True)
    assert (str(server.place), server.path) == ("rancher.example.com:443", "/k8s/clusters/c-1")
    assert server.token is not None
    assert server.token() == Secret("t")


# What is refused


@pytest.mark.parametrize(
    ("user", "more", "told"),
    [
        ({"exec": {"command": "aws"}}, {}, r"no program is run here \(exec\)"),
        ({"exec": {"command": "aws"}, "token": "t"}, {}, r"\(exec\)"),
        ({"auth-provider": {"name": "gcp"}}, {}, r"none is run here \(auth-provider\)"),
        ({"username": "a", "password": "canary-7f3a"}, {}, "has a password"),
        ({"token": "t", "as": "system:admin"}, {}, r"acts as somebody else \(as\)"),
        ({"token": "t", "as-groups": ["system:masters"]}, {}, "acts as somebody else"),
        ({"token": "t"}, {"insecure_skip_tls_verify": True}, "TLS without any check"),
        ({"token": "t"}, {"proxy_url": "http://canary-7f3a"}, "a proxy of its own"),
        ({"token": "t"}, {"tls_server_name": "other"}, "a certificate of another name"),
        ({}, {}, "neither a client certificate nor a token"),
        ({"client-certificate-data": in_base64("PEM")}, {}, "a client certificate without its key"),
        ({"client-certificate-data": "canary-7f3a!"}, {}, "client-certificate-data is no PEM in base64"),
        ({"client-certificate-data": ["canary-7f3a"]}, {}, "client-certificate-data is no PEM in base64"),
        ({"client-certificate": "absent.crt"}, {}, r"client-certificate: .*absent\.crt does not exist"),
        ({"token": ["canary-7f3a"]}, {}, "token is no text"),
        ({"token": "t"}, {"certificate_authority": 3}, "certificate-authority is no text"),
    ],
)
def test_what_is_not_done_here(context, user, more, told) -> None:
    with pytest.raises(SourceFailed, match=told) as caught:
        cluster.server(context("https://127.0.0.1:6443", user, **more), None)
    assert "canary" not in caught.value.reason


@pytest.mark.parametrize(
    "server",
    [
        "http://127.0.0.1:8080",
        "127.0.0.1:6443",
        "",
        "https://",
        "https://u:p@127.0.0.1",
        "https://a/b?c",
        "https://a/b c",
    ],
)
def test_servers_that_are_none(context, server) -> None:
    with pytest.raises(SourceFailed, match="no server of the form https://host:port"):
        cluster.server(context(server, {"token": "t"}), None)


@pytest.mark.parametrize("form", ["PKCS8", "TraditionalOpenSSL"])
def test_a_key_with_a_passphrase_is_refused_before_openssl_asks_for_it(context, form) -> None:
    """OpenSSL would ask the terminal, and the thread would wait for a person."""
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        getattr(serialization.PrivateFormat, form),
        serialization.BestAvailableEncryption(b"canary-7f3a"),
    )
    user = {"client-certificate-data": in_base64("PEM"), "client-key-data": in_base64(pem.decode())}
    with pytest.raises(SourceFailed, match="has a passphrase"):
        cluster.server(context("https://127.0.0.1", user), None)


def test_a_token_that_would_be_two_lines(context) -> None:
    server = cluster.server(context("https://127.0.0.1", {"token": "canary-7f3a\r\nX: y"}), None)
    assert server.token is not None
    with pytest.raises(SourceFailed, match="the kubeconfig's entry dev: token holds no token"):
        server.token()


def test_a_key_that_all_may_write_is_refused(context, tmp_path) -> None:
    written(Path(tmp_path, "token"), "t", 0o666)
    server = cluster.server(context("https://127.0.0.1", {"tokenFile": "token"}), None)
    assert server.token is not None
    with pytest.raises(SourceFailed, match="chmod o-w"):
        server.token()
