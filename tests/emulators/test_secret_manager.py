"""The emulated Secret Manager, held to Google's own client, which must be content with what it says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.clients.sdks import Sdks
from tests.emulators.google_sts import CLOUD, Directory
from tests.emulators.secret_manager import NUMBER, REGION, REGIONAL_HOST, SecretManager, crc32c
from tests.llmauth.demo.clients import ClientProblem, cloud_interpreter

READER = "gateway@llm-project.iam.gserviceaccount.com"
LIBRARY = """
from google.cloud import secretmanager_v1
from google.oauth2.credentials import Credentials
options = {"api_endpoint": host} if host else {}
client = secretmanager_v1.SecretManagerServiceClient(
    transport="rest", credentials=Credentials(token), client_options=options
)
answer = client.access_secret_version(name=name, retry=None, timeout=5)
result = [answer.name, answer.payload.data.decode(), answer.payload.data_crc32c]
"""


@pytest.fixture(scope="module")
def sdk() -> Iterator[Sdks]:
    running = Sdks(cloud_interpreter(), "google.cloud.secretmanager_v1")
    yield running
    running.close()


@pytest.fixture
def manager() -> Iterator[SecretManager]:
    with SecretManager(Directory()) as running:
        running.store("llm", b"first-canary", b"second-canary", reader=READER)
        yield running


@pytest.fixture
def read(sdk: Sdks, manager: SecretManager, tmp_path):
    def access(name: str, who: str = READER, host: str = "") -> list[object]:
        token, _ = manager.directory.issue(who, CLOUD)
        environ = {"REQUESTS_CA_BUNDLE": str(manager.write_ca(tmp_path))}
        result = sdk.run(LIBRARY, environ, direct_port=manager.port, name=name, token=token, host=host)
        assert isinstance(result, list)
        return result

    return access


def test_the_client_reads_the_latest_version(read) -> None:
    name = f"projects/{NUMBER}/secrets/llm/versions/2"
    assert read("projects/llm-project/secrets/llm/versions/latest") == [name, "second-canary", crc32c(b"second-canary")]


def test_the_client_reads_a_version(read) -> None:
    assert read("projects/llm-project/secrets/llm/versions/1")[1] == "first-canary"


def test_the_client_reads_a_regional_secret(read, manager) -> None:
    manager.store("near", b"here", reader=READER, location=REGION)
    name = f"projects/llm-project/locations/{REGION}/secrets/near/versions/latest"
    assert read(name, host=REGIONAL_HOST)[1] == "here"
    with pytest.raises(ClientProblem, match="BadRequest: 400"):
        read(name)


@pytest.mark.parametrize(
    ("name", "who", "problem"),
    [
        ("projects/llm-project/secrets/none/versions/latest", READER, "NotFound: 404"),
        ("projects/llm-project/secrets/llm/versions/3", READER, "NotFound: 404"),
        ("projects/others/secrets/llm/versions/1", READER, "Forbidden: 403"),
        ("projects/llm-project/secrets/llm/versions/1", "somebody@example.com", "Forbidden: 403"),
    ],
)
def test_the_client_is_refused(read, name, who, problem) -> None:
    with pytest.raises(ClientProblem, match=problem):
        read(name, who)


def test_the_client_is_told_of_a_version_that_is_off(read, manager) -> None:
    manager.secrets["llm"].versions[1].state = "DISABLED"
    with pytest.raises(ClientProblem, match="BadRequest: 400"):
        read("projects/llm-project/secrets/llm/versions/latest")


def test_its_sum_is_the_one_of_the_standard() -> None:
    assert crc32c(b"123456789") == 0xE3069283
