"""AWS workload identity: moto's STS, strict stand-ins for every agent of AWS, and what goes wrong with each."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer
from pydantic import ValidationError

from llmauth.addresses import HostPort
from llmauth.credentials import build
from llmauth.credentials.workload_identity.aws import AwsWorkloadIdentity, AwsWorkloadIdentityOptions, region_for
from llmauth.outbound import Outbound
from llmauth.platform import Platform
from llmauth.secrets import AwsKeys
from llmauth.sources import SourceFailed, SourceUnavailable
from llmauth.upstream_proxy import NoProxy, UpstreamProxy, parse_proxy_url
from tests.emulators.container_credentials import ContainerCredentials
from tests.emulators.imds import Imds
from tests.emulators.service import dead_port
from tests.emulators.sts import Role, Sts
from tests.fixtures.corporate import corporate

ROLE = "arn:aws:iam::123456789012:role/bedrock-proxy"
OTHER_ROLE = "arn:aws:iam::210987654321:role/bedrock-guest"
SUBJECT = "system:serviceaccount:llm:proxy"
POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}
CANARIES = ("canary", "payload")
STS_HOST = "sts.eu-west-1.amazonaws.com"


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def roles() -> dict[str, Role]:
    return {ROLE: Role(subjects=[SUBJECT]), OTHER_ROLE: Role(roles=[ROLE, "agent"], external_id="tenant-7")}


@pytest.fixture
def sts() -> Iterator[Sts]:
    with Sts(roles(), region="eu-west-1") as running:
        yield running


@pytest.fixture
def token_file(tmp_path: Path, sts: Sts) -> Path:
    file = tmp_path / "token"
    file.write_text(sts.token(SUBJECT) + "\n")
    return file


@pytest.fixture
def irsa(token_file: Path, sts: Sts) -> dict[str, str]:
    named = {"AWS_ROLE_ARN": ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": str(token_file), "AWS_REGION": "eu-west-1"}
    return POD | named | {"AWS_ENDPOINT_URL_STS": sts.url}


@pytest.fixture
def imds() -> Iterator[Imds]:
    with Imds() as running:
        yield running


@pytest.fixture
def machine(imds: Imds) -> dict[str, str]:
    return {"AWS_EC2_METADATA_SERVICE_ENDPOINT": imds.url}


@pytest.fixture
def agent() -> Iterator[ContainerCredentials]:
    with ContainerCredentials() as running:
        yield running


@pytest.fixture
def pod_identity(agent: ContainerCredentials, tmp_path: Path) -> dict[str, str]:
    token = tmp_path / "pod-token"
    token.write_text("pod.identity.token\n")
    names = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
    return POD | dict(zip(names, (agent.url + agent.path, str(token)), strict=True))


@pytest.fixture
def strategy(standing):
    def make(environ, *, outbound=None, platform=None, **options) -> AwsWorkloadIdentity:
        more = {"outbound": outbound or Outbound()} | ({"platform": platform} if platform else {})
        return AwsWorkloadIdentity(AwsWorkloadIdentityOptions(**options), standing("bedrock", environ, **more))

    return make


def key_id(loaded) -> str:
    assert isinstance(loaded.credential, AwsKeys)
    assert loaded.credential.session_token
    return loaded.credential.access_key_id


def failed(one: AwsWorkloadIdentity, within: float = 4.0) -> str:
    return _refused(one, SourceFailed, within)


def absent(one: AwsWorkloadIdentity, within: float = 4.0) -> str:
    return _refused(one, SourceUnavailable, within)


def _refused(one, kind, within: float) -> str:
    started = time.monotonic()
    with pytest.raises(kind) as caught:
        one.load()
    assert time.monotonic() - started < within
    assert not any(canary in caught.value.reason for canary in CANARIES)
    return caught.value.reason


# IRSA


def test_irsa_against_moto(strategy, irsa, moto) -> None:
    loaded = strategy(irsa | {"AWS_ENDPOINT_URL_STS": moto}).load()
    assert key_id(loaded).startswith("ASIA")
    assert 3500 < loaded.expires_at - time.time() <= 3600
    assert loaded.source == f"web identity {ROLE}"


def test_a_role_assumed_on_top_against_moto(strategy, irsa, moto) -> None:
    loaded = strategy(irsa | {"AWS_ENDPOINT_URL_STS": moto}, role_arn=OTHER_ROLE, external_id="tenant-7").load()
    assert loaded.source == f"role {OTHER_ROLE} by web identity {ROLE}"
    assert key_id(loaded).startswith("ASIA")


def test_irsa_and_the_end_that_sts_names(strategy, irsa, sts) -> None:
    sts.life = 900
    loaded = strategy(irsa).load()
    assert sts.issued[key_id(loaded)][1] == ROLE
    assert loaded.expires_at == sts.ends
    assert "authorization" not in sts.calls[0].headers
    assert sts.calls[0].form["RoleSessionName"] == "llmauth-one"


def test_a_role_on_top_is_asked_for_with_the_keys_of_the_first(strategy, irsa, sts) -> None:
    loaded = strategy(irsa, role_arn=OTHER_ROLE, external_id="tenant-7", session_name="gate").load()
    assert sts.issued[key_id(loaded)][1] == OTHER_ROLE
    assert [call.form["RoleSessionName"] for call in sts.calls] == ["gate", "gate"]
    assert [call.form["Action"] for call in sts.calls] == ["AssumeRoleWithWebIdentity", "AssumeRole"]


def test_instances_have_their_own_roles(strategy, irsa, sts) -> None:
    sts.roles["arn:aws:iam::333333333333:role/third"] = Role(roles=[ROLE])
    first = strategy(irsa, role_arn=OTHER_ROLE, external_id="tenant-7").load()
    second = strategy(irsa, role_arn="arn:aws:iam::333333333333:role/third").load()
    assert [sts.issued[key_id(one)][1][13:18] for one in (first, second)] == ["21098", "33333"]


def test_a_wrong_external_id(strategy, irsa) -> None:
    assert failed(strategy(irsa, role_arn=OTHER_ROLE, external_id="tenant-8")) == "AWS refused AssumeRole: AccessDenied"


def test_the_same_role_is_not_assumed_twice(strategy, irsa, sts) -> None:
    strategy(irsa, role_arn=ROLE).load()
    assert len(sts.calls) == 1


def test_the_token_file_is_read_at_every_load(strategy, irsa, sts, token_file) -> None:
    one = strategy(irsa)
    one.load()
    rotated = sts.token(SUBJECT, life=1800)
    token_file.write_text(rotated)
    one.load()
    assert sts.calls[1].form["WebIdentityToken"] == rotated


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"audience": "https://kubernetes.default.svc"}, "InvalidIdentityToken"),
        ({"life": -1}, "ExpiredTokenException"),
        ({"subject": "system:serviceaccount:llm:other"}, "AccessDenied"),
    ],
)
def test_a_refusal_of_sts_is_told_by_its_code_alone(strategy, irsa, sts, token_file, claims, code) -> None:
    token_file.write_text(sts.token(**({"subject": SUBJECT} | claims)))
    assert failed(strategy(irsa)) == f"AWS refused AssumeRoleWithWebIdentity: {code}"
    assert len(sts.calls) == 1


@pytest.mark.parametrize(
    ("fault", "reason"), [("garbage", "gave no credential"), ("broken", "status 500"), ("refuse", "Denied")]
)
def test_an_sts_in_trouble_is_asked_once(strategy, irsa, sts, fault, reason) -> None:
    sts.fault = fault
    assert reason in failed(strategy(irsa))
    assert len(sts.calls) == 1


def test_a_silent_sts_is_given_up_in_time(strategy, irsa, sts) -> None:
    sts.fault = "slow"
    assert failed(strategy(irsa)) == "127.0.0.1 did not answer within 3.5 s"


def test_two_calls_share_their_time(strategy, irsa, sts, monkeypatch) -> None:
    monkeypatch.setattr("llmauth.credentials.workload_identity.aws.TIME_LIMIT", 0.8)
    answer = sts.answer

    def slower(call):
        time.sleep(0.5)
        sts.fault = "slow"
        return answer(call)

    monkeypatch.setattr(sts, "answer", slower)
    assert "did not answer within 0." in failed(strategy(irsa, role_arn=OTHER_ROLE), within=1.2)


def test_sts_that_cannot_be_reached(strategy, irsa, sts) -> None:
    sts.stop()
    assert failed(strategy(irsa)) == "127.0.0.1 cannot be asked: ConnectionRefusedError"


def test_no_token_in_any_log_line(standing, irsa, caplog) -> None:
    """R1: at debug level botocore would print the session token and the web identity token."""
    caplog.set_level(logging.DEBUG)
    options = AwsWorkloadIdentityOptions(role_arn=OTHER_ROLE, external_id="tenant-7")
    loaded = build(options, standing("bedrock", irsa)).load()
    assert "canary" in loaded.credential.session_token.reveal()
    assert "canary" not in caplog.text
    assert "eyJ" not in caplog.text


@pytest.mark.parametrize("content", [None, "", "two\nlines", "beyond \u00e4scii"])
def test_irsa_without_its_token(strategy, irsa, token_file, content) -> None:
    token_file.unlink() if content is None else token_file.write_text(content)
    assert "the file that AWS_WEB_IDENTITY_TOKEN_FILE names" in failed(strategy(irsa))


def test_a_token_file_that_never_ends_is_no_token(strategy, irsa, tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe")
    one = strategy(irsa | {"AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "pipe")})
    assert "holds no token" in failed(one, within=1.0)


def test_irsa_without_a_role(strategy, irsa, sts) -> None:
    assert "AWS_ROLE_ARN or role_arn" in failed(strategy(irsa | {"AWS_ROLE_ARN": ""}))
    assert "no ARN of a role" in failed(strategy(irsa | {"AWS_ROLE_ARN": "bedrock-proxy"}))
    assert key_id(strategy(irsa | {"AWS_ROLE_ARN": ""}, role_arn=ROLE).load()) in sts.issued


def test_broken_irsa_does_not_become_the_node(strategy, irsa, sts, imds, machine) -> None:
    sts.fault = "refuse"
    failed(strategy(irsa | machine, allow_node_identity=True))
    assert not imds.calls


def test_irsa_comes_before_the_container_endpoint(strategy, irsa, pod_identity, agent, sts) -> None:
    assert key_id(strategy(irsa | pod_identity).load()) in sts.issued
    assert not agent.calls


# Where STS is asked, and by which way


@pytest.fixture
def public_sts(tmp_path) -> Iterator[tuple[Sts, Path]]:
    """An STS as it is outside: with a certificate of its name, and a CA that a company adds."""
    with Sts(roles(), region="eu-west-1", tls=[STS_HOST]) as running:
        yield running, running.write_ca(tmp_path)


def public(irsa: dict[str, str], sts: Sts, token_file: Path) -> dict[str, str]:
    token_file.write_text(sts.token(SUBJECT))
    return {name: value for name, value in irsa.items() if name != "AWS_ENDPOINT_URL_STS"}


def test_the_regional_sts_is_asked_over_verified_tls(strategy, irsa, public_sts, token_file) -> None:
    sts, ca_file = public_sts
    resolve = {STS_HOST: HostPort("127.0.0.1", sts.port)}
    environ = public(irsa, sts, token_file)
    assert strategy(environ, outbound=Outbound(ca_file=ca_file, resolve=resolve)).load()
    assert sts.calls[0].headers["host"] == STS_HOST
    assert "could not be verified" in failed(strategy(environ, outbound=Outbound(resolve=resolve)))
    assert len(sts.calls) == 1


def test_sts_is_asked_by_the_companys_proxy_and_by_no_other(
    strategy, irsa, public_sts, token_file, monkeypatch
) -> None:
    sts, ca_file = public_sts
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere.pem")
    with corporate({STS_HOST: f"127.0.0.1:{sts.port}"}) as proxy:
        way = Outbound(ca_file=ca_file, proxy=UpstreamProxy(parse_proxy_url(proxy.url), NoProxy([])))
        one = strategy(public(irsa, sts, token_file), outbound=way, role_arn=OTHER_ROLE, external_id="tenant-7")
        assert one.load().source.startswith(f"role {OTHER_ROLE}")
        assert proxy.targets() == [f"{STS_HOST}:443"] * 2


def test_a_private_endpoint_that_is_named_may_be_private(strategy, irsa, public_sts, token_file) -> None:
    """S8: a name that only happens to lead inside is refused; one that was configured as an endpoint is meant."""
    sts, ca_file = public_sts
    endpoint = {"AWS_ENDPOINT_URL_STS": f"https://localhost:{sts.port}"}
    environ = public(irsa, sts, token_file) | endpoint
    # The certificate is of another name: TLS was tried, so the address was let pass.
    assert "certificate of localhost" in failed(strategy(environ, outbound=Outbound(ca_file=ca_file)))


def test_an_endpoint_in_clear_text_is_this_machine_alone(strategy, irsa) -> None:
    reason = failed(strategy(irsa | {"AWS_ENDPOINT_URL_STS": "http://sts.corp.example"}))
    assert reason == "sts.corp.example would be asked in clear text; its address must begin with https://"


@pytest.mark.parametrize(
    ("environ", "host"),
    [
        ({"AWS_REGION": "eu-west-1"}, "sts.eu-west-1.amazonaws.com"),
        ({"AWS_DEFAULT_REGION": "eu-west-1"}, "sts.eu-west-1.amazonaws.com"),
        ({}, "sts.us-east-1.amazonaws.com"),
        ({"AWS_REGION": "eu-west-1", "AWS_STS_REGIONAL_ENDPOINTS": "legacy"}, "sts.amazonaws.com"),
        ({"AWS_REGION": "us-west-2", "AWS_USE_FIPS_ENDPOINT": "true"}, "sts-fips.us-west-2.amazonaws.com"),
    ],
)
def test_which_sts_is_asked(strategy, irsa, environ, host) -> None:
    _names_its_host(strategy, irsa, environ, host, ROLE)


@pytest.mark.parametrize(
    ("partition", "region", "host"),
    [
        ("aws-cn", "cn-northwest-1", "sts.cn-northwest-1.amazonaws.com.cn"),
        ("aws-cn", "us-east-1", "sts.cn-north-1.amazonaws.com.cn"),
        ("aws-us-gov", "us-gov-east-1", "sts.us-gov-east-1.amazonaws.com"),
        ("aws-us-gov", "", "sts.us-gov-west-1.amazonaws.com"),
        ("aws-eusc", "", "sts.eusc-de-east-1.amazonaws.eu"),
    ],
)
def test_a_role_is_asked_for_in_its_own_partition(strategy, irsa, partition, region, host) -> None:
    role = ROLE.replace("arn:aws:", f"arn:{partition}:")
    _names_its_host(strategy, irsa, {"AWS_REGION": region, "AWS_ROLE_ARN": role}, host, role)


def _names_its_host(strategy, irsa, environ, host: str, role: str) -> None:
    named = {"AWS_REGION": "", "AWS_ENDPOINT_URL_STS": "", "AWS_ROLE_ARN": role} | environ
    with dead_port() as port:  # nobody listens there, and the reason names who was to be asked
        way = Outbound(resolve={host: HostPort("127.0.0.1", port)})
        assert failed(strategy(irsa | named, outbound=way)) == f"{host} cannot be asked: ConnectionRefusedError"


def test_the_region_of_the_instance_counts_last(standing) -> None:
    china = ROLE.replace("arn:aws:", "arn:aws-cn:")
    here = standing("bedrock", {"AWS_REGION": "eu-west-1"}, region="cn-northwest-1")
    assert (region_for(ROLE, here), region_for(china, here)) == ("eu-west-1", "cn-northwest-1")
    with pytest.raises(SourceFailed, match="set AWS_REGION"):
        region_for(ROLE.replace("arn:aws:", "arn:aws-iso:"), here)


def test_a_profile_of_the_machine_does_not_interfere(strategy, irsa, monkeypatch) -> None:
    for name, value in {"AWS_PROFILE": "does-not-exist", "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}.items():
        monkeypatch.setenv(name, value)
    assert strategy(irsa).load().credential


# Pod Identity and ECS


def test_pod_identity(strategy, pod_identity, agent) -> None:
    one = strategy(pod_identity)
    loaded = one.load()
    assert (key_id(loaded), loaded.source) == (agent.access_key_id, "container endpoint")
    assert loaded.expires_at == agent.ends
    assert one.label == "workload_identity"
    agent.rotate()
    assert key_id(one.load()) == "ASIAPOD000000001"


def test_a_role_on_top_of_pod_identity(strategy, pod_identity, sts, monkeypatch) -> None:
    keys = sts.keys_for("agent")
    given = {"AccessKeyId": keys.access_key_id, "SecretAccessKey": keys.secret_access_key, "Token": keys.session_token}
    monkeypatch.setattr(ContainerCredentials, "_keys", lambda _: given | {"Expiration": "2099-01-01T00:00:00Z"})
    environ = pod_identity | {"AWS_ENDPOINT_URL_STS": sts.url, "AWS_REGION": "eu-west-1"}
    loaded = strategy(environ, role_arn=OTHER_ROLE, external_id="tenant-7").load()
    assert loaded.source == f"role {OTHER_ROLE} by container endpoint"
    assert loaded.expires_at == sts.ends


# Lambda


FUNCTION = {
    "AWS_LAMBDA_FUNCTION_NAME": "gateway",
    "AWS_ACCESS_KEY_ID": "ASIAFUNCTION0001",
    "AWS_SECRET_ACCESS_KEY": "canary-secret",
    "AWS_SESSION_TOKEN": "canary-token",
}


def test_a_function_has_its_keys_in_its_environment(strategy) -> None:
    loaded = strategy(FUNCTION).load()
    assert (key_id(loaded), loaded.source) == ("ASIAFUNCTION0001", "Lambda function gateway")


def test_keys_of_the_environment_are_no_identity_elsewhere(strategy) -> None:
    environ = FUNCTION | {"AWS_LAMBDA_FUNCTION_NAME": ""}
    assert absent(strategy(environ)) == "AWS workload identity not available on generic"


def test_a_function_that_was_thawed_asks_its_agent(strategy, pod_identity, agent) -> None:
    """With SnapStart, Lambda names an endpoint, as the keys of a snapshot would have ended."""
    environ = {**FUNCTION, **pod_identity, "KUBERNETES_SERVICE_HOST": ""}
    assert key_id(strategy(environ).load()) == agent.access_key_id


# EC2


def test_a_plain_machine_uses_its_instance_profile(strategy, machine, imds) -> None:
    imds.life = 600
    one = strategy(machine)
    loaded = one.load()
    assert (key_id(loaded), loaded.source) == (imds.access_key_id, "instance profile node-role")
    assert loaded.expires_at == imds.ends
    imds.rotate()
    assert key_id(one.load()) == "ASIANODE00000001"


@pytest.mark.parametrize(
    ("environ", "host"),
    [({}, "169.254.169.254"), ({"AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE": "IPv6"}, "fd00:ec2::254")],
)
def test_where_the_metadata_service_is(strategy, imds, environ, host) -> None:
    way = Outbound(resolve={host: HostPort("127.0.0.1", imds.port)})
    here = Platform(name="ec2", machine="aws", settled=True)
    assert key_id(strategy(environ, outbound=way, platform=here).load())


def test_in_a_pod_the_node_identity_is_an_opt_in(strategy, machine, imds) -> None:
    assert "not available on kubernetes (on AWS nodes, allow_node_identity: true" in absent(strategy(POD | machine))
    assert not imds.calls
    assert key_id(strategy(POD | machine, allow_node_identity=True).load()) == imds.access_key_id


def test_a_machine_can_be_told_to_keep_its_identity(strategy, machine, imds) -> None:
    absent(strategy(machine, allow_node_identity=False))
    assert not imds.calls


def test_disabled_metadata_is_not_asked(strategy, machine, imds) -> None:
    one = strategy(machine | {"AWS_EC2_METADATA_DISABLED": "true"})
    assert one.unavailable() == absent(one)
    assert one.unavailable() == "AWS workload identity not available on generic: AWS_EC2_METADATA_DISABLED is true"
    assert not imds.calls


def test_a_machine_without_a_profile(strategy, machine, imds) -> None:
    imds.role = None
    reason = absent(strategy(machine))
    assert reason == "AWS workload identity not available on generic: no instance profile is attached to this machine"


def test_a_role_on_top_of_the_machines(strategy, machine, imds, sts, monkeypatch) -> None:
    keys = sts.keys_for("agent")
    given = {"AccessKeyId": keys.access_key_id, "SecretAccessKey": keys.secret_access_key, "Token": keys.session_token}
    monkeypatch.setattr(imds, "_keys", lambda: given | {"Code": "Success", "Expiration": "2099-01-01T00:00:00Z"})
    environ = machine | {"AWS_ENDPOINT_URL_STS": sts.url, "AWS_REGION": "eu-west-1"}
    loaded = strategy(environ, role_arn=OTHER_ROLE, external_id="tenant-7").load()
    assert loaded.source == f"role {OTHER_ROLE} by instance profile node-role"


# What is told without asking


@pytest.mark.parametrize(
    ("environ", "platform", "reason"),
    [
        (POD, Platform(name="aks", in_kubernetes=True), "AWS workload identity not available on aks"),
        (POD, Platform(name="gke", in_kubernetes=True, machine="gcp"), "AWS workload identity not available on gke"),
        ({}, Platform(settled=True), "AWS workload identity not available on generic"),
    ],
)
def test_elsewhere_it_is_not_available(strategy, environ, platform, reason, monkeypatch) -> None:
    monkeypatch.setattr(socket, "create_connection", None)
    one = strategy(environ, platform=platform)
    assert one.unavailable() == reason == absent(one, within=0.1)


def test_its_own_signals_count_on_every_platform(strategy, irsa, pod_identity, sts, agent) -> None:
    aks = Platform(name="aks", in_kubernetes=True, machine="azure", settled=True)
    for environ in (irsa, pod_identity, FUNCTION):
        assert strategy(environ, platform=aks).unavailable() is None
    assert strategy({}, platform=aks).label == "workload_identity (aws)"
    assert not sts.calls
    assert not agent.calls


def test_a_cloud_that_is_turned_off_is_not_asked(strategy, irsa, sts) -> None:
    off = Platform(name="eks", in_kubernetes=True, workload=frozenset({"aws"}), switched={"aws": False})
    assert "turned off by platform.capabilities" in absent(strategy(irsa, platform=off))
    assert not sts.calls


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


def test_the_session_has_the_name_of_the_environment(strategy, irsa, sts) -> None:
    strategy(irsa | {"AWS_ROLE_SESSION_NAME": "from-eks"}).load()
    strategy(irsa | {"AWS_ROLE_SESSION_NAME": "not allowed"}).load()
    assert [call.form["RoleSessionName"] for call in sts.calls] == ["from-eks", "llmauth-one"]
