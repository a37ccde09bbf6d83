"""Google Secret Manager with the emulated one: how a secret is named, what is checked, and each way of refusal."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from pydantic import ValidationError

from llmauth.outbound import Outbound
from llmauth.platform import SimulatedMachine
from llmauth.secrets import BearerToken, Secret
from llmauth.sources import SourceFailed, SourceUnavailable
from llmauth.vaults.base import Identities, VaultSurroundings
from llmauth.vaults.gcp_secret_manager import GcpSecretManager, GcpSecretManagerOptions
from tests.emulators.google_sts import CLOUD, Directory, leading
from tests.emulators.secret_manager import NUMBER, REGION, REGIONAL_HOST, SecretManager, crc32c
from tests.emulators.service import Call, Fault, Reply, Service

READER = "gateway@llm-project.iam.gserviceaccount.com"
KEY = "sk-0123456789-canary"


@pytest.fixture
def manager() -> Iterator[SecretManager]:
    with SecretManager(Directory()) as running:
        running.store("llm", b"first-0123456789", KEY.encode(), reader=READER)
        yield running


def nobody(*_: object) -> NoReturn:
    raise SourceUnavailable("this process has no identity of Google: canary")


@pytest.fixture
def forgotten() -> list[str | None]:
    """Whose token was given up."""
    return []


@pytest.fixture
def vault(manager: SecretManager, tmp_path: Path, forgotten: list[str | None]) -> Callable[..., GcpSecretManager]:
    def make(
        environ: dict[str, str] | None = None,
        who: str | None = READER,
        outbound: Outbound | None = None,
        **options: Any,
    ) -> GcpSecretManager:
        def token() -> BearerToken:
            return BearerToken(value=Secret(manager.directory.issue(str(who), CLOUD)[0]))

        identities = Identities(
            aws=nobody,
            azure=nobody,
            gcp=token if who else nobody,
            no_gcp=lambda: None if who else "nobody here",
            forget_gcp=lambda: forgotten.append(who),
        )
        surroundings = VaultSurroundings(
            machine=SimulatedMachine({"GOOGLE_CLOUD_PROJECT": "llm-project"} if environ is None else environ),
            identities=identities,
            outbound=outbound or leading(tmp_path, manager),
        )
        return GcpSecretManager(GcpSecretManagerOptions(**options), surroundings)

    return make


@pytest.mark.parametrize(
    ("path", "version", "content"),
    [
        ("llm", "2", KEY),
        ("llm/latest", "2", KEY),
        ("llm/1", "1", "first-0123456789"),
        ("llm/versions/1", "1", "first-0123456789"),
        ("llm/stable", "1", "first-0123456789"),
        ("projects/llm-project/secrets/llm", "2", KEY),
        (f"projects/{NUMBER}/secrets/llm/versions/1", "1", "first-0123456789"),
    ],
)
def test_a_secret_by_its_name(vault, manager, path, version, content) -> None:
    manager.secrets["llm"].aliases["stable"] = 1
    read = vault().read(path)
    assert read.content == Secret(content)
    assert (read.version, read.life) == (version, None)
    (call,) = manager.calls
    assert call.target.endswith(":access")
    assert call.headers["host"] == "secretmanager.googleapis.com"


def test_a_new_version_is_read_the_next_time(vault, manager) -> None:
    one = vault()
    assert one.read("llm").version == "2"
    manager.store("llm", b"a", b"b", b"third-0123456789", reader=READER)
    assert one.read("llm").content == Secret("third-0123456789")


def test_the_project_of_the_configuration_comes_first(vault, manager) -> None:
    assert vault({"GOOGLE_CLOUD_PROJECT": "others"}, project="llm-project").read("llm").version == "2"
    assert vault({}, project=NUMBER).read("llm").version == "2"


def test_a_regional_secret(vault, manager) -> None:
    manager.store("near", b"here-0123456789", reader=READER, location=REGION)
    assert vault(location=REGION).read("near").version == "1"
    assert vault().read(f"projects/llm-project/locations/{REGION}/secrets/near/versions/1").version == "1"
    assert vault(location=REGION).read("projects/llm-project/secrets/llm").version == "2"
    assert [call.headers["host"] for call in manager.calls][:2] == [REGIONAL_HOST] * 2


def test_an_endpoint_of_ones_own(vault, manager, tmp_path) -> None:
    host = "secretmanager.googleapis.com"
    for endpoint in (host, f"https://{host}", f"https://{host}/"):
        assert vault(endpoint=endpoint).read("llm").version == "2"


def test_an_endpoint_on_this_machine_in_clear_text(vault, manager) -> None:
    class Plain(Service):
        def answer(self, call: Call) -> Reply:
            return manager.answer(call)

    with Plain() as plain:
        assert vault(endpoint=plain.url, outbound=Outbound()).read("llm").version == "2"


def test_no_other_endpoint_in_clear_text(vault, manager) -> None:
    """S4"""
    with pytest.raises(SourceFailed, match="must begin with https://"):
        vault(endpoint="http://secretmanager.googleapis.com").read("llm")
    assert not manager.calls


# Not here


def test_without_a_project(vault, manager) -> None:
    one = vault({})
    assert one.unavailable() is None
    with pytest.raises(SourceUnavailable, match=r"set vaults\.gcp_secret_manager\.project or GOOGLE_CLOUD_PROJECT"):
        one.read("llm")
    assert not manager.calls
    assert one.read("projects/llm-project/secrets/llm").version == "2"


def test_without_an_identity(vault, manager) -> None:
    one = vault(who=None)
    assert one.unavailable() == "nobody here"
    with pytest.raises(SourceUnavailable, match="no identity of Google"):
        one.read("llm")
    assert not manager.calls


# Refused


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("none", "Google Secret Manager has no version latest of the secret none in llm-project"),
        ("llm/7", "Google Secret Manager has no version 7 of the secret llm in llm-project"),
        ("other", "this identity may not read the secret other: it needs roles/secretmanager.secretAccessor"),
        ("off", "the version latest of the secret off is disabled or destroyed"),
        ("off/1", "the version 1 of the secret off is disabled or destroyed"),
        ("bytes", "the secret bytes holds bytes that are no text"),
    ],
)
def test_a_refusal_says_what_to_do(vault, manager, path, reason) -> None:
    manager.store("other", b"x", reader="somebody@example.com")
    off = manager.store("off", b"x", b"y", reader=READER)
    off.versions[0].state, off.versions[1].state = "DESTROYED", "DISABLED"
    manager.store("bytes", b"\xff\xfe", reader=READER)
    with pytest.raises(SourceFailed) as caught:
        vault().read(path)
    assert caught.value.reason == reason


def test_an_api_that_is_off(vault, manager) -> None:
    manager.enabled = False
    with pytest.raises(SourceFailed, match="the Secret Manager API is not enabled in the project llm-project"):
        vault().read("llm")


def test_a_token_that_has_ended_is_given_up(vault, manager, forgotten) -> None:
    vault().read("llm")
    assert forgotten == []
    manager.directory.life = -1
    with pytest.raises(SourceFailed, match="refused the token of this identity: UNAUTHENTICATED"):
        vault().read("llm")
    assert forgotten == [READER]


def test_a_quota_that_is_used_up(vault, manager) -> None:
    manager.quota = 0
    with pytest.raises(SourceFailed, match="more often than the project's quota"):
        vault().read("llm")


def test_a_payload_that_was_changed_on_its_way(vault, manager) -> None:
    manager.lies = True
    with pytest.raises(SourceFailed, match="the payload of llm does not have the checksum"):
        vault().read("llm")


@pytest.mark.parametrize(
    "path",
    ["", "a b", "llm/", "/llm", "llm/0", "llm/../x", "llm%2f1", "llm:access?x", "projects//secrets/llm", "x/y/z", "ä"],
)
def test_a_name_that_is_none(vault, manager, path) -> None:
    with pytest.raises(SourceFailed, match="secret_name is no name of a secret"):
        vault().read(path)
    assert not manager.calls


def test_a_project_that_is_none(vault) -> None:
    with pytest.raises(SourceFailed, match="GOOGLE_CLOUD_PROJECT is no id of a project"):
        vault({"GOOGLE_CLOUD_PROJECT": "a/../b"}).read("llm")


class Said(Service):
    """A service that says what it is told to."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__()
        self.reply = Reply(status, body)

    def answer(self, call: Call) -> Reply:
        return self.reply


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (200, b"canary-7f3a", "no JSON object"),
        (200, ["canary-7f3a"], "no JSON object"),
        (200, {}, "without a payload"),
        (200, {"payload": "canary-7f3a"}, "without a payload"),
        (200, {"payload": {"data": 7}}, "without a payload"),
        (200, {"payload": {"data": "canary 7f3a"}}, "no base64"),
        (302, b"canary-7f3a", "did not give the secret llm: status 302"),
        (500, {"error": {"status": "canary-7f3a"}}, "did not give the secret llm: status 500"),
        (500, {"error": {"status": "INTERNAL", "details": ["canary-7f3a"]}}, "did not give the secret llm: INTERNAL"),
        (403, {"error": {"status": "PERMISSION_DENIED", "details": 7}}, "it needs roles/secretmanager"),
    ],
)
def test_an_answer_that_is_no_secret(vault, status, body, reason) -> None:
    with Said(status, body) as service, pytest.raises(SourceFailed, match=reason) as caught:
        vault(endpoint=service.url, outbound=Outbound()).read("llm")
    assert "canary" not in caught.value.reason


def test_a_number_for_a_sum_and_no_sum_at_all(vault) -> None:
    for payload in ({"data": "aw==", "dataCrc32c": crc32c(b"k")}, {"data": "aw=="}):
        with Said(200, {"payload": payload, "name": "canary"}) as service:
            read = vault(endpoint=service.url, outbound=Outbound()).read("llm")
        assert (read.content, read.version) == (Secret("k"), None)


@pytest.mark.parametrize("fault", ["slow", "garbage", "refuse", "broken"])
def test_faults_are_told_within_the_time(vault, manager, tmp_path, fault: Fault) -> None:
    """F2"""
    manager.fault = fault
    started = time.monotonic()
    with pytest.raises(SourceFailed) as caught:
        vault(outbound=leading(tmp_path, manager, time_limit=0.5)).read("llm")
    assert time.monotonic() - started < 1.5
    assert "canary" not in caught.value.reason


def test_a_vault_that_is_down(vault, manager) -> None:
    one = vault()
    manager.stop()
    with pytest.raises(SourceFailed, match=r"secretmanager\.googleapis\.com cannot be asked: ConnectionRefusedError"):
        one.read("llm")


def test_several_threads_at_once(vault) -> None:
    one, read = vault(), []
    threads = [threading.Thread(target=lambda: read.append(one.read("llm").version)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read == ["2"] * 8


@pytest.mark.parametrize(
    "options",
    [
        {"project": "P"},
        {"project": "a/b"},
        {"location": "nowhere/x"},
        {"endpoint": "https://x/path"},
        {"endpoint": "ftp://x"},
        {"endpoint": "https://user@x"},
        {"region": "eu"},
    ],
)
def test_wrong_options(options) -> None:
    with pytest.raises(ValidationError):
        GcpSecretManagerOptions(**options)
