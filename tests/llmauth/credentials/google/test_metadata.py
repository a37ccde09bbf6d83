"""Google's metadata server: whose account it speaks for, and answers that are none of its own."""

from __future__ import annotations

import json

import pytest

from llmauth.credentials.google.metadata import MetadataServer, _of_the_node
from llmauth.outbound import Outbound
from llmauth.sources import SourceFailed, SourceUnavailable
from tests.emulators.gcp_metadata import GKE, MACHINE, NODE_CUSTOM, NODE_DEFAULT, POOL, WORKLOAD, GcpMetadata
from tests.emulators.service import Call, Reply, Service

FLAVOR = {"Metadata-Flavor": "Google"}


def server(service: Service) -> MetadataServer:
    return MetadataServer({"GCE_METADATA_HOST": f"127.0.0.1:{service.port}"}, Outbound(time_limit=1.0))


@pytest.mark.parametrize(
    ("email", "name", "nodes"),
    [
        (POOL, GKE, False),
        (POOL, MACHINE, False),
        (WORKLOAD, GKE, False),
        (NODE_CUSTOM, MACHINE, True),
        (NODE_DEFAULT, MACHINE, True),
        (NODE_DEFAULT, GKE, True),
    ],
)
def test_whose_account_it_is(email, name, nodes) -> None:
    with GcpMetadata(email=email, server=name) as metadata:
        account = server(metadata).account()
    assert (account.email, account.nodes) == (email, nodes)
    assert "https://www.googleapis.com/auth/cloud-platform" in account.scopes


def test_a_token() -> None:
    with GcpMetadata() as metadata:
        token, life = server(metadata).token()
        assert metadata.directory.principal(token.reveal()) == WORKLOAD
        assert life == 3600
        assert metadata.calls[0].query == {"scopes": "https://www.googleapis.com/auth/cloud-platform"}


class Said(Service):
    """A server that says what it is told to."""

    def __init__(self, reply: Reply) -> None:
        super().__init__()
        self.reply = reply

    def answer(self, call: Call) -> Reply:
        return self.reply


@pytest.mark.parametrize("headers", [{}, {"Metadata-Flavor": "google"}, {"Metadata-Flavor": "ibm"}])
def test_another_clouds_server_is_none_of_googles(headers) -> None:
    body = {"email": WORKLOAD, "scopes": [], "access_token": "canary-7f3a", "expires_in": 3600}
    with Said(Reply(200, body, headers)) as service:
        for ask in (server(service).account, server(service).token):
            with pytest.raises(SourceUnavailable, match="is none of Google's"):
                ask()


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (200, b"canary-7f3a", "gave no account, but something that is no JSON"),
        (200, b'["canary-7f3a"]', "gave no account, but something that is no JSON"),
        (200, b"{}", "names no account"),
        (200, b'{"email": "canary 7f3a"}', "names no account"),
        (200, b'{"email": ["canary-7f3a"]}', "names no account"),
        (500, b"canary-7f3a", "gave no account: status 500"),
        (302, b"canary-7f3a", "gave no account: status 302"),
    ],
)
def test_no_account(status, body, reason) -> None:
    with Said(Reply(status, body, FLAVOR)) as service, pytest.raises(SourceFailed, match=reason) as caught:
        server(service).account()
    assert "canary" not in caught.value.reason


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"access_token": "canary-7f3a"},
        {"access_token": "canary\n7f3a", "expires_in": 3600},
        {"access_token": "canary-7f3a", "expires_in": "3600"},
        {"access_token": "canary-7f3a", "expires_in": 0},
    ],
)
def test_no_token(told) -> None:
    body = json.dumps(told).encode()
    with Said(Reply(200, body, FLAVOR)) as service, pytest.raises(SourceFailed, match="Google answered") as caught:
        server(service).token()
    assert "canary" not in caught.value.reason


@pytest.mark.parametrize("written", ["http://127.0.0.1", "a b", "127.0.0.1:99999", "127.0.0.1/x", "user@127.0.0.1"])
def test_a_place_that_is_none(written) -> None:
    with pytest.raises(SourceFailed, match="GCE_METADATA_HOST is no host"):
        MetadataServer({"GCE_METADATA_HOST": written}, Outbound())


@pytest.mark.parametrize("server", ["Metadata Server for VM", "nginx", "", None])
def test_what_is_not_known_to_speak_for_pods_speaks_for_the_node(server: str | None) -> None:
    """Nodes may have an account of their own name; a proxy before the server may take its name away."""
    assert _of_the_node("nodes@project.iam.gserviceaccount.com", server)
    assert not _of_the_node("nodes@project.iam.gserviceaccount.com", "GKE Metadata Server")
    assert not _of_the_node("project.svc.id.goog", server)
