"""The emulated services of IBM, held to IBM's own library, which must be content with what they say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.clients.sdks import Sdks
from tests.emulators.ibm_iam import PROFILE_ID, Account, IbmIamEmulator, IbmMetadataEmulator
from tests.llmauth.demo.clients import ClientProblem, cloud_interpreter

SDK = """
from ibm_cloud_sdk_core import authenticators
request = {"headers": {}}
authenticator = getattr(authenticators, kind)(**options)
authenticator.authenticate(request)
result = request["headers"]["Authorization"]
"""


@pytest.fixture(scope="module")
def sdk() -> Iterator[Sdks]:
    running = Sdks(cloud_interpreter(), "ibm_cloud_sdk_core")
    yield running
    running.close()


@pytest.fixture
def iam() -> Iterator[IbmIamEmulator]:
    with IbmIamEmulator() as running:
        yield running


@pytest.fixture
def metadata() -> Iterator[IbmMetadataEmulator]:
    with IbmMetadataEmulator() as running:
        yield running


def authorized(sdk: Sdks, iam: IbmIamEmulator, folder: Path, kind: str, **options: Any) -> str:
    environ = {"REQUESTS_CA_BUNDLE": str(iam.write_ca(folder))}
    options["url"] = f"https://localhost:{iam.port}"
    result = sdk.run(SDK, environ, kind=kind, options=options)
    assert isinstance(result, str)
    return result.removeprefix("Bearer ")


def test_the_library_gets_a_token_for_a_key(sdk, iam, tmp_path) -> None:
    token = authorized(sdk, iam, tmp_path, "IAMAuthenticator", apikey=iam.account.api_key)
    assert iam.account.is_good(token)


@pytest.mark.parametrize("named", [{"iam_profile_id": PROFILE_ID}, {"iam_profile_name": "llm gateway"}])
def test_the_library_gets_a_token_for_a_pod(sdk, iam, tmp_path, named) -> None:
    file = tmp_path / "token"
    file.write_text(iam.account.compute_token())
    token = authorized(sdk, iam, tmp_path, "ContainerAuthenticator", cr_token_filename=str(file), **named)
    assert iam.account.is_good(token)


@pytest.mark.parametrize(
    ("given", "named", "code"),
    [
        ({"audience": "vault"}, PROFILE_ID, "not valid"),
        ({"life": -1}, PROFILE_ID, "not valid"),
        ({}, "Profile-00000000-0000-0000-0000-000000000000", "not linked"),
    ],
)
def test_the_library_is_refused(sdk, iam, tmp_path, given, named, code) -> None:
    file = tmp_path / "token"
    file.write_text(iam.account.compute_token(**given))
    with pytest.raises(ClientProblem, match=code):
        authorized(sdk, iam, tmp_path, "ContainerAuthenticator", cr_token_filename=str(file), iam_profile_id=named)


def test_the_library_is_refused_for_a_wrong_key(sdk, iam, tmp_path) -> None:
    with pytest.raises(ClientProblem, match="could not be found"):
        authorized(sdk, iam, tmp_path, "IAMAuthenticator", apikey="wrong")


@pytest.mark.parametrize("named", [{}, {"iam_profile_id": PROFILE_ID}, {"iam_profile_name": "llm gateway"}])
def test_the_library_gets_a_token_for_a_virtual_server(sdk, metadata, named) -> None:
    options = {"url": metadata.url, **named}
    token = sdk.run(SDK, {}, kind="VPCInstanceAuthenticator", options=options)
    assert metadata.account.is_good(token.removeprefix("Bearer "))
    assert [call.method for call in metadata.calls] == ["PUT", "POST"]


def test_a_virtual_server_without_a_default_profile_must_name_one(sdk, metadata) -> None:
    metadata.default = False
    with pytest.raises(ClientProblem, match="canary-7f3a"):
        sdk.run(SDK, {}, kind="VPCInstanceAuthenticator", options={"url": metadata.url})


def test_a_token_ends() -> None:
    now = 1_800_000_000.0
    account = Account(wall=lambda: now)
    token = account.token()["access_token"]
    assert account.is_good(token)
    now += 3600
    assert not account.is_good(token)
