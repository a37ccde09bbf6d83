"""The agent of a container: where it may be, what it is shown, and what is made of what it says."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmauth.addresses import HostPort
from llmauth.credentials.workload_identity import aws_container
from llmauth.outbound import Outbound
from llmauth.secrets import AwsKeys, Loaded
from llmauth.sources import SourceFailed
from llmauth.upstream_proxy import NoProxy, UpstreamProxy, parse_proxy_url
from tests.emulators.container_credentials import ECS, ContainerCredentials
from tests.emulators.service import Service


@pytest.fixture
def agent() -> Iterator[ContainerCredentials]:
    with ContainerCredentials() as running:
        yield running


@pytest.fixture
def pod_identity(agent: ContainerCredentials, tmp_path: Path) -> dict[str, str]:
    token = tmp_path / "pod-token"
    token.write_text("pod.identity.token\n")
    names = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
    return dict(zip(names, (agent.url + agent.path, str(token)), strict=True))


def loaded(environ: dict[str, str], outbound: Outbound | None = None) -> Loaded:
    given = aws_container.load(environ, outbound or Outbound())
    assert given is not None
    assert isinstance(given.credential, AwsKeys)
    return given


def failed(environ: dict[str, str], outbound: Outbound | None = None, within: float = 4.0) -> str:
    started = time.monotonic()
    with pytest.raises(SourceFailed) as caught:
        aws_container.load(environ, outbound or Outbound())
    assert time.monotonic() - started < within
    assert "canary" not in caught.value.reason
    return caught.value.reason


def test_without_its_variables_there_is_none() -> None:
    assert aws_container.load({"AWS_CONTAINER_AUTHORIZATION_TOKEN": "x"}, Outbound()) is None


def test_the_token_of_pod_identity_is_read_at_every_load(pod_identity, agent) -> None:
    loaded(pod_identity)
    agent.token = "rotated.pod.token"
    assert failed(pod_identity) == "the container's credential endpoint refused with status 401: AccessDeniedException"
    Path(pod_identity["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"]).write_text("rotated.pod.token")
    assert loaded(pod_identity).expires_at


def test_ecs_is_asked_at_its_fixed_address_without_a_token() -> None:
    with ContainerCredentials(path=ECS, token=None) as agent:
        way = Outbound(resolve={"169.254.170.2": HostPort("127.0.0.1", agent.port)})
        assert loaded({"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": ECS}, way).expires_at
        assert agent.calls[0].headers["host"] == "169.254.170.2"
        assert "authorization" not in agent.calls[0].headers


def test_the_agent_is_not_asked_by_a_proxy(pod_identity, monkeypatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    way = Outbound(proxy=UpstreamProxy(parse_proxy_url("http://127.0.0.1:1"), NoProxy([])))
    assert loaded(pod_identity, way).expires_at


@pytest.mark.parametrize("host", ["169.254.170.23", "[fd00:ec2::23]", "169.254.170.2"])
def test_the_agents_of_aws_are_shown_the_token(pod_identity, agent, host) -> None:
    way = Outbound(resolve={host.strip("[]"): HostPort("127.0.0.1", agent.port)})
    environ = pod_identity | {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://{host}/v1/credentials"}
    assert loaded(environ, way).expires_at
    assert agent.calls[0].headers["authorization"] == "pod.identity.token"


@pytest.mark.parametrize(
    "url",
    [
        "http://198.51.100.7/v1/credentials",
        "http://169.254.170.2.elsewhere.example/",
        "http://169.254.170.2@elsewhere.example/",
        "http://169.254.169.254/latest/meta-data/",
        "http://localhost.elsewhere.example/",
        "http://10.0.0.7/",
        "ftp://169.254.170.2/",
        "http://[fd00:ec2::254]/",
        "169.254.170.2/v1",
        "http://[/",
    ],
)
def test_an_endpoint_elsewhere_is_not_shown_the_token(pod_identity, url) -> None:
    reason = failed(pod_identity | {"AWS_CONTAINER_CREDENTIALS_FULL_URI": url}, within=0.5)
    assert reason.startswith("AWS_CONTAINER_CREDENTIALS_FULL_URI ")


@pytest.mark.parametrize("path", ["@elsewhere.example/", ".elsewhere.example/", "x"])
def test_a_relative_address_cannot_change_the_host(path) -> None:
    reason = failed({"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": path}, within=0.5)
    assert "must begin with a slash" in reason


def test_https_leads_anywhere_and_is_verified(pod_identity, tmp_path) -> None:
    with Service(tls=["broker.corp.example"]) as broker:
        way = Outbound(resolve={"broker.corp.example": HostPort("127.0.0.1", broker.port)})
        environ = pod_identity | {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "https://broker.corp.example/"}
        assert "could not be verified" in failed(environ, way)
        assert not broker.calls


def test_a_token_of_two_lines_is_not_sent(pod_identity, agent) -> None:
    environ = pod_identity | {
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": "a\r\nb",
    }
    assert "could not be written" in failed(environ)
    assert not agent.calls


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("garbage", "no object of JSON"), ("broken", "status 500"), ("refuse", "401: AccessDenied"), ("slow", "0.5 s")],
)
def test_an_agent_in_trouble_is_asked_once(pod_identity, agent, fault, reason) -> None:
    agent.fault = fault
    assert reason in failed(pod_identity, Outbound(time_limit=0.5))
    assert len(agent.calls) == 1


def test_an_agent_that_is_down(pod_identity, agent) -> None:
    agent.stop()
    assert failed(pod_identity) == "127.0.0.1 cannot be asked: ConnectionRefusedError"


@pytest.mark.parametrize("missing", ["AccessKeyId", "SecretAccessKey", "Token", "Expiration"])
def test_an_answer_that_is_not_whole(pod_identity, agent, monkeypatch, missing) -> None:
    whole = agent._keys()
    monkeypatch.setattr(agent, "_keys", lambda: {name: one for name, one in whole.items() if name != missing})
    assert missing in failed(pod_identity)
