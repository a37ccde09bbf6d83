"""The emulated metadata service of EC2, held to AWS's own library and to what it has to refuse."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Iterator

import pytest

from tests.e2e.clients.sdks import Sdks
from tests.emulators.imds import ROLES, TOKEN_PATH, Imds
from tests.llmauth.demo.clients import ClientProblem, cloud_interpreter

KEYS = """
found = boto3.Session().get_credentials()
result = found and [found.method, found.access_key, found.secret_key, found.token]
"""
LIFE = "X-aws-ec2-metadata-token-ttl-seconds"


@pytest.fixture(scope="module")
def sdk() -> Iterator[Sdks]:
    running = Sdks(cloud_interpreter(), "boto3")
    yield running
    running.close()


@pytest.fixture
def imds() -> Iterator[Imds]:
    with Imds() as running:
        yield running


def found(sdk: Sdks, imds: Imds):
    environ = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": imds.url, "AWS_EC2_METADATA_DISABLED": "false"}
    return sdk.run(KEYS, {**environ, "AWS_EC2_METADATA_V1_DISABLED": "true"})


def asked(imds: Imds, method: str, path: str, headers: dict[str, str]) -> tuple[int, str]:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", imds.port, timeout=5)) as connection:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def test_the_library_gets_keys(sdk, imds) -> None:
    assert found(sdk, imds) == ["iam-role", imds.access_key_id, "canary-secret-0", "canary-token-0"]


def test_the_library_finds_none_without_a_role(sdk, imds) -> None:
    imds.role = None
    assert found(sdk, imds) is None


def test_the_library_gives_up_where_it_is_turned_off(sdk, imds) -> None:
    imds.disabled = True
    with pytest.raises(ClientProblem, match=r"MetadataRetrievalError: .* token"):
        found(sdk, imds)


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 400), ({LIFE: "0"}, 400), ({LIFE: "21601"}, 400), ({LIFE: "60", "X-Forwarded-For": "10.0.0.1"}, 403)],
)
def test_a_token_is_not_given_to_everybody(imds, headers, status) -> None:
    assert asked(imds, "PUT", TOKEN_PATH, headers)[0] == status


def test_nothing_is_told_without_a_token(imds) -> None:
    assert asked(imds, "GET", ROLES, {})[0] == 401
    assert asked(imds, "GET", ROLES, {"X-aws-ec2-metadata-token": "made up"})[0] == 401


def test_a_role_that_is_not_there(imds) -> None:
    token = asked(imds, "PUT", TOKEN_PATH, {LIFE: "60"})[1]
    assert asked(imds, "GET", f"{ROLES}other", {"X-aws-ec2-metadata-token": token})[0] == 404
    assert asked(imds, "GET", ROLES, {"X-aws-ec2-metadata-token": token}) == (200, "node-role")
