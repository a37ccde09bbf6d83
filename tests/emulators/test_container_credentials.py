"""The emulated agent of a container, held to AWS's own library."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.clients.sdks import Sdks
from tests.emulators.container_credentials import ContainerCredentials
from tests.llmauth.demo.clients import ClientProblem, cloud_interpreter

KEYS = """
found = boto3.Session().get_credentials()
frozen = found.get_frozen_credentials()
result = [found.method, frozen.access_key, frozen.secret_key, frozen.token]
"""


@pytest.fixture(scope="module")
def sdk() -> Iterator[Sdks]:
    running = Sdks(cloud_interpreter(), "boto3")
    yield running
    running.close()


@pytest.fixture
def agent() -> Iterator[ContainerCredentials]:
    with ContainerCredentials() as running:
        yield running


def environ(agent: ContainerCredentials, tmp_path, token: str) -> dict[str, str]:
    file = tmp_path / "token"
    file.write_text(token)
    names = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
    return dict(zip(names, (agent.url + agent.path, str(file)), strict=True))


def test_the_library_gets_keys(sdk, agent, tmp_path) -> None:
    found = sdk.run(KEYS, environ(agent, tmp_path, "pod.identity.token"))
    assert found == ["container-role", agent.access_key_id, "canary-secret-0", "canary-token-0"]


@pytest.mark.parametrize("token", ["another.token", "Bearer pod.identity.token"])
def test_another_token_is_refused(sdk, agent, tmp_path, token) -> None:
    with pytest.raises(ClientProblem, match="401"):
        sdk.run(KEYS, environ(agent, tmp_path, token))
    assert {call.path for call in agent.calls} == {agent.path}
