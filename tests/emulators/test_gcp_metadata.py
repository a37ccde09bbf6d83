"""The emulated metadata server, held to Google's own library, which must be content with what it says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from llmauth.outbound import METADATA, Answer, Outbound
from tests.e2e.clients.sdks import Sdks
from tests.emulators.gcp_metadata import MACHINE, WORKLOAD, GcpMetadata
from tests.llmauth.demo.clients import ClientProblem, cloud_interpreter

# Imported in the snippet: the library reads where the server is as it is loaded.
LIBRARY = """
import google.auth
from google.auth.compute_engine import _metadata
from google.auth.transport.requests import Request
credentials, project = google.auth.default(scopes=[scope])
credentials.refresh(Request())
result = [type(credentials).__module__, project, credentials.service_account_email, credentials.token]
"""
IDENTITY = """
from google.auth.transport.requests import Request
from google.oauth2 import id_token
result = id_token.fetch_id_token(Request(), "https://gateway.example")
"""
CLOUD = "https://www.googleapis.com/auth/cloud-platform"


@pytest.fixture(scope="module")
def sdk() -> Iterator[Sdks]:
    running = Sdks(cloud_interpreter(), "json", "requests")
    yield running
    running.close()


@pytest.fixture
def metadata() -> Iterator[GcpMetadata]:
    with GcpMetadata() as running:
        yield running


def asked(metadata: GcpMetadata, path: str, **headers: str) -> Answer:
    said = {name.replace("_", "-"): value for name, value in headers.items()}
    return Outbound().trusting(METADATA).ask("GET", f"{metadata.url}/computeMetadata/v1/{path}", said)


def test_the_library_finds_its_account(sdk: Sdks, metadata: GcpMetadata) -> None:
    kind, project, email, token = sdk.run(LIBRARY, metadata.environ, scope=CLOUD)
    assert (kind, project, email) == ("google.auth.compute_engine.credentials", "llm-project", WORKLOAD)
    assert metadata.directory.principal(token) == WORKLOAD


def test_the_library_gets_an_identity(sdk: Sdks, metadata: GcpMetadata) -> None:
    token: Any = sdk.run(IDENTITY, metadata.environ)
    assert token.count(".") == 2


def test_the_library_is_told_of_an_account_that_may_not_be_used(sdk: Sdks, metadata: GcpMetadata) -> None:
    metadata.bound = False
    with pytest.raises(ClientProblem, match=r"RefreshError.*403"):
        sdk.run(LIBRARY, metadata.environ, scope=CLOUD)


def test_who_does_not_say_whom_it_means_is_refused(metadata: GcpMetadata) -> None:
    path = "instance/service-accounts/default/email"
    assert asked(metadata, path).status == 403
    assert asked(metadata, path, Metadata_Flavor="google").status == 403
    assert asked(metadata, path, Metadata_Flavor="Google", X_Forwarded_For="10.0.0.1").status == 403
    good = asked(metadata, path, Metadata_Flavor="Google")
    assert (good.status, good.body) == (200, WORKLOAD.encode())
    assert good.headers.all("server") == [MACHINE]
    assert good.headers.all("metadata-flavor") == ["Google"]


def test_a_token_is_kept_until_it_is_old(metadata: GcpMetadata) -> None:
    now = [1_800_000_000.0]
    metadata.directory.wall = lambda: now[0]

    def token() -> bytes:
        return asked(metadata, "instance/service-accounts/default/token", Metadata_Flavor="Google").body

    first = token()
    now[0] += 3000
    assert token() == first.replace(b"3600", b"600")
    now[0] += 400
    assert token() != first.replace(b"3600", b"200")


def test_a_machine_without_an_account() -> None:
    with GcpMetadata(email=None) as metadata:
        path = "instance/service-accounts/default/?recursive=true"
        assert asked(metadata, path, Metadata_Flavor="Google").status == 404
        assert asked(metadata, "instance/service-accounts/", Metadata_Flavor="Google").status == 404
