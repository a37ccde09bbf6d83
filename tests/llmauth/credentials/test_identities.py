"""As whom vaults are asked at AWS: the first identity that there is, kept while it is young."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from llmauth.clock import ManualClock
from llmauth.credentials.identities import identities
from llmauth.platform import Platform
from llmauth.sources import SourceFailed, SourceUnavailable
from tests.emulators.container_credentials import ContainerCredentials
from tests.emulators.sts import Role, Sts

ROLE = "arn:aws:iam::123456789012:role/vault"
SUBJECT = "system:serviceaccount:llm:proxy"
PAIR = {"AWS_ACCESS_KEY_ID": "AKIAENVIRONMENT1", "AWS_SECRET_ACCESS_KEY": "s3cret"}
PROFILE = "[default]\naws_access_key_id = AKIAPROFILE00001\naws_secret_access_key = s3cret\n"


@pytest.fixture
def agent() -> Iterator[ContainerCredentials]:
    with ContainerCredentials(token=None) as running:
        yield running


@pytest.fixture
def pod(agent: ContainerCredentials) -> dict[str, str]:
    return {"AWS_CONTAINER_CREDENTIALS_FULL_URI": agent.url + agent.path}


@pytest.fixture
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, str], dict[str, str]]:
    """An environment that leads to a profile, and the file as a simulated machine reads it."""
    file = tmp_path / "config"
    file.write_text(PROFILE)
    monkeypatch.setenv("HOME", str(tmp_path))
    return {"AWS_CONFIG_FILE": str(file), "HOME": str(tmp_path)}, {str(file): PROFILE}


def test_keys_of_the_environment_come_first(standing, pod, agent) -> None:
    found = identities(standing(environ=PAIR | pod))
    assert found.aws().access_key_id == "AKIAENVIRONMENT1"
    assert not agent.calls


def test_then_the_workloads_own(standing, pod, agent, profile) -> None:
    environ, files = profile
    assert identities(standing(environ=pod | environ, files=files)).aws().access_key_id == agent.access_key_id


def test_then_a_profile(standing, profile) -> None:
    environ, files = profile
    found = identities(standing(environ=environ, files=files))
    assert found.no_aws() is None
    assert found.aws().access_key_id == "AKIAPROFILE00001"


def test_nobody_is_told_at_once_and_with_every_reason(standing) -> None:
    found = identities(standing(environ={"HOME": "/nowhere"}, platform=Platform(settled=True)))
    started = time.monotonic()
    reason = found.no_aws()
    assert reason == (
        "this process has no identity of AWS: AWS workload identity not available on generic; "
        "there is no AWS profile default"
    )
    with pytest.raises(SourceUnavailable, match="no identity of AWS"):
        found.aws()
    assert time.monotonic() - started < 0.5


def test_an_api_key_of_bedrock_is_nobody_to_a_vault(standing, pod, agent) -> None:
    environ = {"AWS_BEARER_TOKEN_BEDROCK": "<placeholder>"}
    assert identities(standing(environ=environ | pod)).aws().access_key_id == agent.access_key_id
    assert identities(standing(environ=environ | {"HOME": "/nowhere"})).no_aws() is not None


def test_half_a_pair_ends_the_search(standing, pod, agent) -> None:
    found = identities(standing(environ={"AWS_SECRET_ACCESS_KEY": "s3cret"} | pod))
    assert found.no_aws() is None
    with pytest.raises(SourceFailed, match="one half of an AWS key pair"):
        found.aws()
    assert not agent.calls


def test_a_broken_identity_does_not_become_another(standing, pod, agent, profile) -> None:
    agent.fault = "refuse"
    environ, files = profile
    with pytest.raises(SourceFailed, match="status 401"):
        identities(standing(environ=pod | environ, files=files)).aws()


def test_keys_are_kept_while_they_are_young(standing, pod, agent) -> None:
    clock = ManualClock(time.time())
    agent.life = 3600
    found = identities(standing(environ=pod, clock=clock))
    first = found.aws()
    agent.rotate()
    clock.advance(2400)
    assert found.aws() is first
    clock.advance(200)
    assert found.aws().access_key_id == "ASIAPOD000000001"
    assert len(agent.calls) == 2


def test_keys_that_were_refused_are_not_given_again(standing, pod, agent) -> None:
    found = identities(standing(environ=pod))
    found.aws()
    agent.rotate()
    found.forget_aws()
    assert found.aws().access_key_id == "ASIAPOD000000001"


def test_many_threads_ask_once(standing, pod, agent) -> None:
    found = identities(standing(environ=pod))
    together = threading.Barrier(16)

    def ask(_: int) -> str:
        together.wait()
        return found.aws().access_key_id

    with ThreadPoolExecutor(16) as threads:
        assert set(threads.map(ask, range(16))) == {agent.access_key_id}
    assert len(agent.calls) == 1


def test_the_session_of_irsa_tells_that_it_is_for_vaults(standing, tmp_path) -> None:
    with Sts({ROLE: Role(subjects=[SUBJECT])}) as sts:
        (tmp_path / "token").write_text(sts.token(SUBJECT))
        environ = {"AWS_ROLE_ARN": ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token")}
        found = identities(standing(environ=environ | {"AWS_ENDPOINT_URL_STS": sts.url}))
        assert sts.issued[found.aws().access_key_id][1] == ROLE
        assert sts.calls[0].form["RoleSessionName"] == "llmauth-vault"
