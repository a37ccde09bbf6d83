"""The emulated identity endpoints, met by azure-identity and by callers that the real ones refuse."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.clients.sdks import Sdks
from tests.emulators.azure_imds import HEADER, PATH, AppServiceEmulator, ImdsEmulator
from tests.emulators.entra import CLIENT, opened
from tests.emulators.service import Service
from tests.llmauth.demo.clients import ClientProblem, cloud_interpreter

RESOURCE = "https://cognitiveservices.azure.com"
OTHER = "99999999-bbbb-4ccc-8ddd-eeeeeeeeeeee"
MANAGED = """
credential = identity.ManagedIdentityCredential(client_id=client, retry_total=0)
result = credential.get_token("https://cognitiveservices.azure.com/.default").token
"""


@pytest.fixture(scope="module")
def sdks() -> Iterator[Sdks]:
    sdks = Sdks(cloud_interpreter(), "azure.identity")
    yield sdks
    sdks.close()


@pytest.mark.parametrize("client", [None, CLIENT])
def test_a_machine(sdks: Sdks, client: str | None) -> None:
    with ImdsEmulator() as imds:
        token = sdks.run(MANAGED, {"AZURE_POD_IDENTITY_AUTHORITY_HOST": imds.url}, client=client)
    assert opened(token, RESOURCE)["appid"] == CLIENT


@pytest.mark.parametrize("client", [None, CLIENT])
@pytest.mark.parametrize("legacy", [False, True])
def test_an_app(sdks: Sdks, client: str | None, legacy: bool) -> None:
    endpoint, secret = ("MSI_ENDPOINT", "MSI_SECRET") if legacy else ("IDENTITY_ENDPOINT", "IDENTITY_HEADER")
    with AppServiceEmulator(legacy=legacy) as app:
        token = sdks.run(MANAGED, {endpoint: app.endpoint, secret: HEADER}, client=client)
    assert opened(token, RESOURCE)["appid"] == CLIENT


def test_an_identity_that_is_not_there(sdks: Sdks) -> None:
    with ImdsEmulator() as imds, pytest.raises(ClientProblem, match="Identity not found"):
        sdks.run(MANAGED, {"AZURE_POD_IDENTITY_AUTHORITY_HOST": imds.url}, client=OTHER)


def asked(service: Service, path: str, **headers: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=5)
    connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    body = json.loads(response.read() or b"null")
    connection.close()
    return response.status, body


def test_who_is_not_on_the_machine_gets_nothing() -> None:
    path = f"{PATH}?api-version=2018-02-01&resource={RESOURCE}"
    with ImdsEmulator() as imds:
        assert asked(imds, path, Metadata="true")[0] == 200
        assert asked(imds, path)[0] == 400
        assert asked(imds, path, Metadata="true", X_Forwarded_For="10.0.0.1")[0] == 400
        assert asked(imds, f"{PATH}?resource={RESOURCE}", Metadata="true")[0] == 400
        assert asked(imds, f"{PATH}?api-version=2018-02-01&resource=x", Metadata="true")[1]["error"] == (
            "invalid_resource"
        )
        assert asked(imds, "/metadata/instance?api-version=2021-02-01", Metadata="true")[0] == 200


def test_who_is_not_the_app_gets_nothing() -> None:
    path = f"/msi/token?api-version=2019-08-01&resource={RESOURCE}"
    with AppServiceEmulator() as app:
        assert asked(app, path, X_IDENTITY_HEADER=HEADER)[0] == 200
        assert asked(app, path, X_IDENTITY_HEADER="other")[0] == 401
        assert asked(app, path, Metadata="true")[0] == 401
        assert asked(app, f"/msi/token?resource={RESOURCE}", X_IDENTITY_HEADER=HEADER)[0] == 400
