"""AWS workload identity against moto's STS and loopback stand-ins for the metadata endpoints."""

from __future__ import annotations

import json
import logging
import socket
import time
import urllib.parse
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from moto.server import ThreadedMotoServer
from pydantic import ValidationError

from llmauth.credentials import build
from llmauth.credentials.base import StrategyFailed, StrategyUnavailable
from llmauth.credentials.workload_identity.aws import AwsWorkloadIdentity, AwsWorkloadIdentityOptions
from llmauth.secrets import AwsKeys, Secret

ROLE = "arn:aws:iam::123456789012:role/bedrock-proxy"
OTHER_ROLE = "arn:aws:iam::210987654321:role/bedrock-guest"
POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def irsa(tmp_path) -> dict[str, str]:
    token = tmp_path / "token"
    token.write_text("header.payload.signature\n")
    return POD | {"AWS_ROLE_ARN": ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": str(token), "AWS_REGION": "eu-west-1"}


@pytest.fixture
def strategy(standing):
    def make(environ, **options) -> AwsWorkloadIdentity:
        return AwsWorkloadIdentity(AwsWorkloadIdentityOptions(**options), standing("bedrock", environ))

    return make


def seconds_left(expires_at: float | None) -> float:
    assert expires_at is not None
    return expires_at - time.time()


def iso(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def answer(name: str, seconds: float = 3600) -> str:
    keys = {"AccessKeyId": f"ASIA{name}", "SecretAccessKey": f"secret-{name}", "Token": f"token-{name}"}
    return json.dumps(keys | {"Expiration": iso(seconds), "Code": "Success"})


def sts_answer(name: str, operation: str) -> str:
    return (
        f'<{operation}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{operation}Result><Credentials>'
        f"<AccessKeyId>ASIA{name}</AccessKeyId><SecretAccessKey>secret-{name}</SecretAccessKey>"
        f"<SessionToken>token-{name}</SessionToken><Expiration>{iso(3600)}</Expiration></Credentials>"
        f"</{operation}Result></{operation}Response>"
    )


def sts_error(code: str) -> str:
    return f"<ErrorResponse><Error><Code>{code}</Code><Message>canary-7f3a</Message></Error></ErrorResponse>"


def keys(name: str) -> AwsKeys:
    return AwsKeys(
        access_key_id=f"ASIA{name}", secret_access_key=Secret(f"secret-{name}"), session_token=Secret(f"token-{name}")
    )


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


# IRSA


def test_irsa_against_moto(strategy, irsa, moto) -> None:
    loaded = strategy(irsa | {"AWS_ENDPOINT_URL_STS": moto}).load()
    assert isinstance(loaded.credential, AwsKeys)
    assert loaded.credential.access_key_id.startswith("ASIA")
    assert loaded.credential.session_token
    assert 3500 < seconds_left(loaded.expires_at) <= 3600
    assert loaded.source == f"web identity {ROLE}"


def test_a_role_assumed_on_top_against_moto(strategy, irsa, moto) -> None:
    loaded = strategy(irsa | {"AWS_ENDPOINT_URL_STS": moto}, role_arn=OTHER_ROLE, external_id="tenant-7").load()
    assert loaded.source == f"role {OTHER_ROLE} by web identity {ROLE}"
    assert isinstance(loaded.credential, AwsKeys)


def test_what_sts_is_asked(strategy, irsa, serve) -> None:
    def sts(asked) -> tuple[int, str]:
        operation = urllib.parse.parse_qs(asked.body)["Action"][0]
        return 200, sts_answer(operation, operation)

    loopback = serve(sts)
    loaded = strategy(
        irsa | {"AWS_ENDPOINT_URL_STS": loopback.url}, role_arn=OTHER_ROLE, external_id="tenant-7", session_name="gate"
    ).load()
    assert loaded.credential == keys("AssumeRole")
    web, assume = (dict(urllib.parse.parse_qsl(asked.body)) for asked in loopback.asked)
    assert web | {"Version": ""} == {
        "Action": "AssumeRoleWithWebIdentity",
        "RoleArn": ROLE,
        "RoleSessionName": "gate",
        "WebIdentityToken": "header.payload.signature",
        "Version": "",
    }
    assert assume["RoleArn"] == OTHER_ROLE
    assert assume["ExternalId"] == "tenant-7"
    assert "authorization" not in loopback.asked[0].headers
    assert "Credential=ASIAAssumeRoleWithWebIdentity/" in loopback.asked[1].headers["authorization"]
    assert "/eu-west-1/sts/" in loopback.asked[1].headers["authorization"]


def test_the_same_role_is_not_assumed_twice(strategy, irsa, serve) -> None:
    loopback = serve(lambda _: (200, sts_answer("web", "AssumeRoleWithWebIdentity")))
    strategy(irsa | {"AWS_ENDPOINT_URL_STS": loopback.url}, role_arn=ROLE).load()
    assert len(loopback.asked) == 1


def test_the_token_file_is_read_at_every_load(strategy, irsa, serve) -> None:
    loopback = serve(lambda _: (200, sts_answer("web", "AssumeRoleWithWebIdentity")))
    one = strategy(irsa | {"AWS_ENDPOINT_URL_STS": loopback.url})
    one.load()
    with open(irsa["AWS_WEB_IDENTITY_TOKEN_FILE"], "w") as token:
        token.write("rotated.by.kubelet")
    one.load()
    assert "WebIdentityToken=rotated.by.kubelet" in loopback.asked[1].body


@pytest.mark.parametrize("code", ["AccessDenied", "InvalidIdentityToken", "ExpiredTokenException"])
def test_a_refusal_of_sts_is_told_by_its_code_alone(strategy, irsa, serve, code) -> None:
    loopback = serve(lambda _: (403, sts_error(code)))
    with pytest.raises(StrategyFailed) as caught:
        strategy(irsa | {"AWS_ENDPOINT_URL_STS": loopback.url}).load()
    assert caught.value.reason == f"AWS refused AssumeRoleWithWebIdentity: {code}"
    assert len(loopback.asked) == 1


def test_a_broken_answer_of_sts(strategy, irsa, serve) -> None:
    for status, text in [
        (200, "<html>canary-7f3a</html>"),
        (200, ""),
        (500, "canary-7f3a"),
        (200, "<x><Credentials/></x>"),
    ]:
        loopback = serve(lambda _, status=status, text=text: (status, text))
        with pytest.raises(StrategyFailed) as caught:
            strategy(irsa | {"AWS_ENDPOINT_URL_STS": loopback.url}).load()
        assert len(loopback.asked) == 1
        assert "canary" not in caught.value.reason


def test_sts_that_cannot_be_reached(strategy, irsa) -> None:
    with pytest.raises(StrategyFailed, match="AssumeRoleWithWebIdentity gave no credential: EndpointConnectionError"):
        strategy(irsa | {"AWS_ENDPOINT_URL_STS": "http://127.0.0.1:1"}).load()


def test_sts_that_never_answers_is_given_up_soon(strategy, irsa, silent, monkeypatch) -> None:
    monkeypatch.setattr("llmauth.credentials.workload_identity.aws.READ_TIMEOUT", 0.2)
    started = time.monotonic()
    with pytest.raises(StrategyFailed, match="ReadTimeoutError"):
        strategy(irsa | {"AWS_ENDPOINT_URL_STS": silent}).load()
    assert time.monotonic() - started < 1.0


def test_no_token_in_any_log_line(standing, irsa, serve, caplog) -> None:
    """R1: at debug level botocore would print the session token and the web identity token."""
    caplog.set_level(logging.DEBUG)
    loopback = serve(lambda asked: (200, sts_answer("canary", urllib.parse.parse_qs(asked.body)["Action"][0])))
    environ = irsa | {"AWS_ENDPOINT_URL_STS": loopback.url}
    options = AwsWorkloadIdentityOptions(role_arn=OTHER_ROLE)
    loaded = build(options, "one", "bedrock", environ).load()
    assert loaded.credential == keys("canary")
    assert len(loopback.asked) == 2
    assert "canary" not in caplog.text
    assert "header.payload.signature" not in caplog.text


def test_irsa_without_its_file(strategy, irsa) -> None:
    with pytest.raises(StrategyFailed, match="AWS_WEB_IDENTITY_TOKEN_FILE names cannot be read: FileNotFoundError"):
        strategy(irsa | {"AWS_WEB_IDENTITY_TOKEN_FILE": "/nowhere/token"}).load()


def test_irsa_without_a_role(strategy, irsa) -> None:
    with pytest.raises(StrategyFailed, match="AWS_ROLE_ARN or role_arn"):
        strategy(irsa | {"AWS_ROLE_ARN": ""}).load()


def test_broken_irsa_does_not_become_the_node(strategy, irsa, serve) -> None:
    metadata = serve(lambda _: (200, answer("node")))
    environ = irsa | {"AWS_ENDPOINT_URL_STS": "http://127.0.0.1:1", "AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata.url}
    with pytest.raises(StrategyFailed):
        strategy(environ, allow_node_identity=True).load()
    assert not metadata.asked


def test_a_profile_of_the_machine_does_not_interfere(strategy, irsa, moto, monkeypatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "does-not-exist")
    assert strategy(irsa | {"AWS_ENDPOINT_URL_STS": moto}).load().credential


# Pod Identity and ECS


@pytest.fixture
def pod_identity(tmp_path):
    def environ(url: str) -> dict[str, str]:
        token = tmp_path / "pod-token"
        token.write_text("pod.identity.token")
        names = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
        return POD | dict(zip(names, (f"{url}/v1/credentials", str(token)), strict=True))

    return environ


def test_pod_identity(strategy, pod_identity, serve) -> None:
    loopback = serve(lambda asked: (200, answer("pod", 6 * 3600)))
    one = strategy(pod_identity(loopback.url))
    loaded = one.load()
    assert loaded.credential == keys("pod")
    assert 21500 < seconds_left(loaded.expires_at) <= 21600
    assert loopback.asked[0].path == "/v1/credentials"
    assert loopback.asked[0].headers["authorization"] == "pod.identity.token"
    assert one.label == "workload_identity"


@pytest.mark.parametrize(
    ("status", "text"),
    [(401, "canary-7f3a"), (200, "canary-7f3a"), (200, "{}"), (200, '["canary-7f3a"]'), (200, "null")],
)
def test_a_container_endpoint_that_refuses_is_asked_once(strategy, pod_identity, serve, status, text) -> None:
    loopback = serve(lambda _: (status, text))
    started = time.monotonic()
    with pytest.raises(StrategyFailed, match="container's credential endpoint gave no credential") as caught:
        strategy(pod_identity(loopback.url)).load()
    assert len(loopback.asked) == 1
    assert time.monotonic() - started < 1.0
    assert "canary" not in caught.value.reason


def test_a_container_endpoint_elsewhere_is_not_sent_the_token(strategy, pod_identity) -> None:
    with pytest.raises(StrategyFailed, match="ValueError"):
        strategy(pod_identity("http://198.51.100.7")).load()


def test_a_container_endpoint_that_is_down(strategy, pod_identity) -> None:
    with pytest.raises(StrategyFailed, match="gave no credential: MetadataRetrievalError"):
        strategy(pod_identity("http://127.0.0.1:1")).load()


# EC2


def ec2(asked) -> tuple[int, str]:
    if asked.method == "PUT":
        return (200, "imds-token") if asked.path == "/latest/api/token" else (404, "")
    if asked.headers.get("x-aws-ec2-metadata-token") != "imds-token":
        return 401, ""
    return 200, answer("node", 600) if asked.path.endswith("/node-role") else "node-role"


def machine(loopback) -> dict[str, str]:
    return {"AWS_EC2_METADATA_SERVICE_ENDPOINT": loopback.url}


def test_a_plain_machine_uses_its_instance_profile(strategy, serve) -> None:
    loaded = strategy(machine(serve(ec2))).load()
    assert loaded.credential == keys("node")
    assert loaded.source == "instance profile node-role"
    # botocore would have made 17 to 25 minutes of it.
    assert 590 < seconds_left(loaded.expires_at) <= 600


def test_in_a_pod_the_node_identity_is_an_opt_in(strategy, serve) -> None:
    loopback = serve(ec2)
    environ = POD | machine(loopback)
    with pytest.raises(StrategyUnavailable, match=r"not available on kubernetes .*allow_node_identity: true"):
        strategy(environ).load()
    assert not loopback.asked
    assert strategy(environ, allow_node_identity=True).load().credential == keys("node")


def test_a_machine_can_be_told_to_keep_its_identity(strategy, serve) -> None:
    loopback = serve(ec2)
    with pytest.raises(StrategyUnavailable):
        strategy(machine(loopback), allow_node_identity=False).load()
    assert not loopback.asked


def test_disabled_metadata_is_not_asked(strategy, serve) -> None:
    loopback = serve(ec2)
    with pytest.raises(StrategyUnavailable):
        strategy(machine(loopback) | {"AWS_EC2_METADATA_DISABLED": "true"}).load()
    assert not loopback.asked


def test_a_machine_without_a_role(strategy, serve) -> None:
    loopback = serve(lambda asked: (200, "t") if asked.method == "PUT" else (404, ""))
    with pytest.raises(StrategyUnavailable, match=r"^AWS workload identity not available on generic$"):
        strategy(machine(loopback)).load()


@pytest.mark.parametrize("status", [403, 404, 405])
def test_another_clouds_metadata_service_is_asked_once(strategy, serve, status) -> None:
    loopback = serve(lambda _: (status, ""))
    with pytest.raises(StrategyUnavailable):
        strategy(machine(loopback)).load()
    assert [asked.method for asked in loopback.asked] == ["PUT"]


def test_a_laptop_does_not_wait_for_a_metadata_service(strategy, silent, monkeypatch) -> None:
    monkeypatch.setattr("llmauth.credentials.workload_identity.aws.METADATA_TIMEOUT", 0.2)
    started = time.monotonic()
    with pytest.raises(StrategyUnavailable):
        strategy({"AWS_EC2_METADATA_SERVICE_ENDPOINT": silent}).load()
    assert time.monotonic() - started < 0.9


def test_the_metadata_service_is_not_asked_through_a_proxy(strategy, serve, monkeypatch) -> None:
    proxy = serve(lambda _: (200, "from the proxy"))
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("http_proxy", proxy.url)
    assert strategy(machine(serve(ec2))).load().credential == keys("node")
    assert not proxy.asked


# Options


@pytest.mark.parametrize(
    "options",
    [
        {"role_arn": "bedrock-proxy"},
        {"role_arn": ROLE, "external_id": "x"},
        {"external_id": "tenant-7"},
        {"session_name": "with blanks"},
        {"region": "eu-west-1"},
    ],
)
def test_wrong_options(options) -> None:
    with pytest.raises(ValidationError):
        AwsWorkloadIdentityOptions(**options)


def test_elsewhere_the_label_names_the_cloud(strategy) -> None:
    assert strategy({}).label == "workload_identity (aws)"
