"""AWS Secrets Manager: moto's, with and without a look at the signature; and one that says what a test wants it to."""

from __future__ import annotations

import json
import logging
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.session import Session
from moto.server import ThreadedMotoServer

from llmauth.addresses import HostPort
from llmauth.credentials.base import Surroundings
from llmauth.credentials.vault import VaultOptions, VaultStrategy
from llmauth.outbound import Outbound
from llmauth.platform import SimulatedMachine
from llmauth.routers.vault import VaultRouter
from llmauth.secrets import AwsKeys, Secret
from llmauth.sources import SourceFailed, SourceUnavailable
from llmauth.upstream_proxy import NoProxy, UpstreamProxy, parse_proxy_url
from llmauth.vaults.aws_secrets_manager import AwsSecretsManager, AwsSecretsManagerOptions
from llmauth.vaults.base import Identities, VaultSurroundings
from tests.emulators.service import Call, Reply, Service, dead_port
from tests.fixtures.corporate import corporate

KEYS = AwsKeys(access_key_id="ASIAVAULT", secret_access_key=Secret("canary-secret"), session_token=Secret("canary-tok"))
ROLE = "arn:aws:iam::123456789012:role/vault"
ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:llm/openai-AbCdEf"


def nobody(*_: object) -> Any:
    raise SourceUnavailable("nobody")


@dataclass
class Standing:
    """What a backend was built with, and how often its keys were thrown away."""

    backend: AwsSecretsManager
    forgotten: list[bool] = field(default_factory=list)

    def read(self, path: str = "llm/openai") -> tuple[str, str | None]:
        secret = self.backend.read(path)
        assert isinstance(secret.content, Secret)
        assert secret.life is None
        return secret.content.reveal(), secret.version

    def refused(self, path: str = "llm/openai", within: float = 4.5) -> str:
        started = time.monotonic()
        with pytest.raises(SourceFailed) as caught:
            self.backend.read(path)
        assert time.monotonic() - started < within
        assert "canary" not in caught.value.reason
        return caught.value.reason


def standing(
    environ=None, *, keys: AwsKeys = KEYS, outbound: Outbound | None = None, no_aws=None, **options
) -> Standing:
    forgotten: list[bool] = []
    identities = Identities(
        aws=lambda: keys,
        azure=nobody,
        gcp=nobody,
        no_aws=no_aws or (lambda: None),
        forget_aws=lambda: forgotten.append(True),
    )
    machine = SimulatedMachine(environ or {})
    here = VaultSurroundings(machine=machine, identities=identities, outbound=outbound or Outbound())
    return Standing(AwsSecretsManager(AwsSecretsManagerOptions(**options), here), forgotten)


# moto's


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def admin(moto):
    """Clients of AWS's own library for whoever keeps the secrets."""

    def client(service: str) -> Any:
        keys = {"aws_access_key_id": "admin", "aws_secret_access_key": "admin"}
        return Session().create_client(service, region_name="us-east-1", endpoint_url=moto, **keys)

    yield client
    urllib.request.urlopen(urllib.request.Request(f"{moto}/moto-api/reset", method="POST")).read()


@pytest.fixture
def keeper(admin):
    return admin("secretsmanager")


@pytest.fixture
def vault(moto) -> Standing:
    return standing(endpoint_url=moto)


def test_the_life_of_a_secret(keeper, vault) -> None:
    first = keeper.create_secret(Name="llm/openai", SecretString="sk-one\n")["VersionId"]
    assert vault.read() == ("sk-one\n", first)
    second = keeper.put_secret_value(SecretId="llm/openai", SecretString="sk-two")["VersionId"]
    assert vault.read() == ("sk-two", second)
    keeper.delete_secret(SecretId="llm/openai")
    assert "it is scheduled for deletion" in vault.refused()
    keeper.restore_secret(SecretId="llm/openai")
    assert vault.read() == ("sk-two", second)


def test_what_is_pending_is_not_current(keeper, vault) -> None:
    keeper.create_secret(Name="llm/openai", SecretString="sk-one")
    pending = keeper.put_secret_value(SecretId="llm/openai", SecretString="sk-two", VersionStages=["AWSPENDING"])
    assert vault.read()[0] == "sk-one"
    versions = keeper.list_secret_version_ids(SecretId="llm/openai", IncludeDeprecated=True)["Versions"]
    current = next(one["VersionId"] for one in versions if "AWSCURRENT" in one["VersionStages"])
    keeper.update_secret_version_stage(
        SecretId="llm/openai",
        VersionStage="AWSCURRENT",
        MoveToVersionId=pending["VersionId"],
        RemoveFromVersionId=current,
    )
    assert vault.read()[0] == "sk-two"


def test_bytes_that_are_text_and_bytes_that_are_none(keeper, vault) -> None:
    keeper.create_secret(Name="text", SecretBinary=b"sk-bytes")
    keeper.create_secret(Name="bytes", SecretBinary=b"\xff\xfecanary")
    assert vault.read("text")[0] == "sk-bytes"
    assert "holds bytes that are no text" in vault.refused("bytes")


def test_one_key_of_an_object(keeper, vault) -> None:
    keeper.create_secret(Name="llm/all", SecretString=json.dumps({"openai": "sk-1", "port": 1, "api_key": "canary"}))
    keeper.create_secret(Name="plain", SecretString="canary")
    assert vault.read("llm/all#openai")[0] == "sk-1"
    assert vault.refused("llm/all#absent").endswith("has no text under the key absent")
    assert vault.refused("llm/all#port").endswith("has no text under the key port")
    assert vault.refused("plain#openai").endswith("is one text and has no keys; leave out #openai")


def test_a_secret_that_is_not_there(vault) -> None:
    reason = vault.refused("llm/absent")
    assert reason.startswith("AWS Secrets Manager refuses llm/absent: there is none of this name in us-east-1")


def test_by_its_arn(keeper, vault) -> None:
    arn = keeper.create_secret(Name="llm/openai", SecretString="sk-one")["ARN"]
    assert vault.read(arn)[0] == "sk-one"


def test_a_strategy_of_an_instance(keeper, vault) -> None:
    """The user's line: a secret with AWS keys for Bedrock."""
    pair = {"aws_access_key_id": "AKIAEXAMPLE", "aws_secret_access_key": "s3cret"}
    keeper.create_secret(Name="bedrock-api-key", SecretString=json.dumps(pair))
    vaults = VaultRouter({"aws_secrets_manager": vault.backend})
    options = VaultOptions(backend="aws_secrets_manager", secret_name="bedrock-api-key")
    loaded = VaultStrategy(options, Surroundings(provider="bedrock", vaults=vaults)).load()
    assert loaded.credential == AwsKeys(access_key_id="AKIAEXAMPLE", secret_access_key=Secret("s3cret"))
    assert loaded.source.startswith("aws_secrets_manager:bedrock-api-key, version ")


@pytest.fixture
def guarded(moto, admin, keeper) -> Iterator[AwsKeys]:
    """Keys of a role that may read secrets, of a moto that verifies signatures from now on."""
    keeper.create_secret(Name="llm/openai", SecretString="sk-one")
    iam = admin("iam")
    iam.create_role(RoleName="vault", AssumeRolePolicyDocument="{}")
    allowed = {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_role_policy(RoleName="vault", PolicyName="read", PolicyDocument=policy)
    sts = admin("sts")
    given = sts.assume_role(RoleArn=ROLE, RoleSessionName="test")["Credentials"]
    _unauthenticated(moto, "0")
    yield AwsKeys(
        access_key_id=given["AccessKeyId"],
        secret_access_key=Secret(given["SecretAccessKey"]),
        session_token=Secret(given["SessionToken"]),
    )
    _unauthenticated(moto, "1000000000000")


def _unauthenticated(moto: str, calls: str) -> None:
    kind = {"Content-Type": "text/plain"}
    asked = urllib.request.Request(f"{moto}/moto-api/reset-auth", data=calls.encode(), headers=kind, method="POST")
    urllib.request.urlopen(asked).read()


def test_the_signature_is_good(moto, guarded) -> None:
    assert standing(endpoint_url=moto, keys=guarded).read()[0] == "sk-one"


def test_moto_would_have_refused_another(moto, guarded) -> None:
    wrong = AwsKeys(
        access_key_id=guarded.access_key_id, secret_access_key=Secret("x" * 40), session_token=guarded.session_token
    )
    assert "refuses llm/openai" in standing(endpoint_url=moto, keys=wrong).refused()


# One that says what it is told


class Manager(Service):
    """Keeps one secret; `error` is what it says instead, with a text that nobody may repeat."""

    error: str | None = None
    message = "canary-7f3a"

    def refusal(self, call: Call) -> Reply:
        return Reply(400, {"__type": "AccessDeniedException", "Message": "canary-7f3a"})

    def answer(self, call: Call) -> Reply:
        if call.headers.get("x-amz-target") != "secretsmanager.GetSecretValue":
            return Reply(400, {"__type": "InvalidAction"})
        if self.error is not None:
            return Reply(400, {"__type": self.error, "Message": self.message})
        return Reply(200, {"Name": call.json["SecretId"], "SecretString": "sk-one", "VersionId": "v-1"})


@pytest.fixture
def manager() -> Iterator[Manager]:
    with Manager() as running:
        yield running


@pytest.mark.parametrize(
    ("code", "message", "reason"),
    [
        ("AccessDeniedException", "canary", "the identity that asks needs secretsmanager:GetSecretValue for it"),
        ("AccessDeniedException", "Access to KMS is not allowed", "the identity that asks needs kms:Decrypt"),
        ("DecryptionFailure", "canary", "its KMS key cannot decrypt it"),
        ("InvalidRequestException", "canary", "scheduled for deletion"),
        ("InvalidParameterException", "canary", "no name or ARN"),
        ("ThrottlingException", "canary", "asked too often"),
        ("NewKindOfException", "canary", "refuses llm/openai: NewKindOfException"),
    ],
)
def test_what_aws_refuses_becomes_a_sentence(manager, code, message, reason) -> None:
    manager.error, manager.message = code, message
    one = standing(endpoint_url=manager.url)
    assert reason in one.refused()
    assert code in one.refused()
    assert not one.forgotten


@pytest.mark.parametrize("code", ["ExpiredTokenException", "UnrecognizedClientException", "InvalidSignatureException"])
def test_keys_that_aws_does_not_accept_are_thrown_away(manager, code) -> None:
    manager.error = code
    one = standing(endpoint_url=manager.url)
    assert one.refused() == f"AWS does not accept the keys with which Secrets Manager was asked for llm/openai: {code}"
    assert one.forgotten == [True]


@pytest.mark.parametrize(("fault", "reason"), [("garbage", "no secret"), ("broken", "status 500"), ("refuse", "needs")])
def test_a_manager_in_trouble_is_asked_once(manager, fault, reason) -> None:
    manager.fault = fault
    assert reason in standing(endpoint_url=manager.url).refused()
    assert len(manager.calls) == 1


def test_a_silent_manager_is_given_up_in_time(manager, monkeypatch) -> None:
    monkeypatch.setattr("llmauth.vaults.aws_secrets_manager.TIME_LIMIT", 1.0)
    manager.fault = "slow"
    assert standing(endpoint_url=manager.url).refused(within=1.4) == "127.0.0.1 did not answer within 1 s"


def test_a_manager_that_is_down(manager) -> None:
    manager.stop()
    assert standing(endpoint_url=manager.url).refused() == "127.0.0.1 cannot be asked: ConnectionRefusedError"


def test_nothing_of_it_is_logged(manager, caplog) -> None:
    """R1: botocore's debug lines hold the whole answer."""
    caplog.set_level(logging.DEBUG)
    assert standing(endpoint_url=manager.url).read()[0] == "sk-one"
    assert not any(text in caplog.text for text in ("sk-one", "canary"))


@pytest.mark.parametrize(
    ("environ", "options", "path", "host"),
    [
        ({}, {}, "x", "secretsmanager.us-east-1.amazonaws.com"),
        ({"AWS_DEFAULT_REGION": "eu-west-2"}, {}, "x", "secretsmanager.eu-west-2.amazonaws.com"),
        ({"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "x"}, {}, "x", "secretsmanager.eu-west-1.amazonaws.com"),
        ({"AWS_REGION": "eu-west-1"}, {}, ARN, "secretsmanager.eu-central-1.amazonaws.com"),
        ({"AWS_REGION": "eu-west-1"}, {"region": "eu-north-1"}, ARN, "secretsmanager.eu-north-1.amazonaws.com"),
        ({"AWS_REGION": "cn-north-1"}, {"region": ""}, "x", "secretsmanager.cn-north-1.amazonaws.com.cn"),
        ({"AWS_REGION": "us-gov-west-1"}, {}, "x", "secretsmanager.us-gov-west-1.amazonaws.com"),
    ],
)
def test_which_region_is_asked(environ, options, path, host) -> None:
    with dead_port() as port:  # nobody listens there, and the reason names who was to be asked
        way = Outbound(resolve={host: HostPort("127.0.0.1", port)})
        reason = standing(environ, outbound=way, **options).refused(path)
    assert reason == f"{host} cannot be asked: ConnectionRefusedError"


def test_an_endpoint_of_the_environment(manager) -> None:
    environ = {"AWS_ENDPOINT_URL_SECRETS_MANAGER": manager.url, "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
    assert standing(environ, endpoint_url="").read() == ("sk-one", "v-1")


def test_an_endpoint_in_clear_text_is_this_machine_alone() -> None:
    reason = standing({"AWS_ENDPOINT_URL_SECRETS_MANAGER": "http://vault.corp.example"}).refused()
    assert reason == "vault.corp.example would be asked in clear text; its address must begin with https://"


def test_it_is_asked_by_the_companys_proxy(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    host = "secretsmanager.us-east-1.amazonaws.com"
    with Manager(tls=[host]) as manager, corporate({host: f"127.0.0.1:{manager.port}"}) as proxy:
        through = UpstreamProxy(parse_proxy_url(proxy.url), NoProxy([]))
        way = Outbound(ca_file=manager.write_ca(tmp_path), proxy=through)
        assert standing(outbound=way).read()[0] == "sk-one"
        assert proxy.targets() == [f"{host}:443"]


def test_without_an_identity_nobody_is_asked(manager) -> None:
    why = "this process has no identity of AWS"
    one = standing(endpoint_url=manager.url, no_aws=lambda: why)
    assert one.backend.unavailable() == why
    assert standing(endpoint_url=manager.url).backend.unavailable() is None
    assert not manager.calls


@pytest.mark.parametrize(
    "options",
    [
        {"endpoint_url": "http://vault.corp.example"},
        {"endpoint_url": "nonsense"},
        {"endpoint_url": "https://user@vault.corp.example"},
        {"endpoint_url": "https://"},
        {"region": "evil.example/#"},
        {"region": "US-EAST-1"},
    ],
)
def test_what_could_never_be_asked_is_refused_with_the_configuration(options) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        AwsSecretsManagerOptions.model_validate(options)
