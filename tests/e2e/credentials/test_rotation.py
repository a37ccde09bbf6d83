"""Credentials are rotated under load, the old ones void from that moment: no restart, and no request that fails."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from botocore.session import Session

from llmauth.demo import sigv4
from llmauth.demo.emulators import Emulators
from tests.emulators.kubernetes_api import KubernetesApi
from tests.emulators.sts import Role as StsRole
from tests.emulators.sts import Sts
from tests.emulators.vault import Role as VaultRole
from tests.emulators.vault import VaultEmulator
from tests.fixtures.calls import CHAT, JSON, eventually
from tests.fixtures.kubernetes import mounted, publish, with_certificate, written
from tests.fixtures.raw import Wire
from tests.fixtures.serving import Serving

ROLE = "arn:aws:iam::111122223333:role/bedrock-proxy"
SUBJECT = "system:serviceaccount:llm:proxy"
CONVERSE = json.dumps({"messages": [{"role": "user", "content": [{"text": "hi"}]}]}).encode()
MODEL = "anthropic.claude-3-haiku-20240307-v1%3A0"
NOBODY = {"AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent", "HOME": "/nonexistent"}
Serve = Callable[..., Serving]


@dataclass
class Callers:
    """Clients that call without a pause, and what they were answered, in order, by the instance."""

    gateway: Serving
    answers: dict[str, list[tuple[int, bytes]]] = field(default_factory=dict)
    _ended: threading.Event = field(default_factory=threading.Event)

    def call(self, instance: str) -> None:
        """Until all of them end."""
        path, body = f"/transparent/{instance}/v1/chat/completions", CHAT
        if instance.startswith("bedrock"):
            path, body = f"/transparent/{instance}/model/{MODEL}/converse", CONVERSE
        headers = [("Host", "gateway"), ("X-API-Key", self.gateway.key()), JSON]
        answers = self.answers[instance]
        while not self._ended.is_set():
            with Wire(self.gateway.port, timeout=20) as wire:
                answer = wire.request("POST", path, headers, body)
            answers.append((answer.status, b"" if answer.status == 200 else answer.body))

    def go_on(self, more: int = 40) -> None:
        """So many calls of each instance are answered from now on, and well."""
        until = {instance: len(answers) + more for instance, answers in self.answers.items()}
        eventually(lambda: all(len(self.answers[one]) >= number for one, number in until.items()), timeout=20)
        failed = [(one, told) for one, answers in self.answers.items() for told in answers if told[0] != 200]
        assert failed == []

    def end(self) -> None:
        """They stop calling."""
        self._ended.set()


@contextmanager
def calling(gateway: Serving, instances: Sequence[str], each: int) -> Iterator[Callers]:
    callers = Callers(gateway, {instance: [] for instance in instances})
    gateway.key()
    threads = [threading.Thread(target=callers.call, args=(one,)) for one in instances for _ in range(each)]
    for thread in threads:
        thread.start()
    try:
        callers.go_on()
        yield callers
    finally:
        callers.end()
        for thread in threads:
            thread.join()


def openai(**strategy: Any) -> Mapping[str, Any]:
    return {"type": "openai", "authentication": {"strategies": [strategy]}}


def new_key() -> str:
    return f"sk-rotated-{secrets.token_hex(20)}"


def take_key(providers: Emulators, key: str) -> None:
    """The only key that OpenAI takes from now on."""
    providers.credentials = replace(providers.credentials, openai_key=key)


def take_keys(providers: Emulators, keys: sigv4.Keys) -> None:
    """The only keys that Bedrock takes from now on."""
    providers.credentials = replace(
        providers.credentials,
        aws_access_key_id=keys.access_key_id,
        aws_secret_access_key=keys.secret_access_key,
        aws_session_token=keys.session_token,
    )


@pytest.fixture
def vault() -> Iterator[VaultEmulator]:
    """It knows a service account of a pod, and lets it read."""
    with VaultEmulator() as vault:
        vault.allow("llm", "secret/*")
        vault.kubernetes["llmauth"] = VaultRole(policies=["default", "llm"], binds=["llm/proxy"])
        yield vault


def at(vault: VaultEmulator, token: Path) -> dict[str, Any]:
    """The section that leads to it, with the pod's token."""
    ca_file = str(vault.write_ca(token.parent))
    login = {"method": "kubernetes", "token_file": str(token)}
    return {"hashicorp": {"address": vault.url, "ca_file": ca_file, "auth": login}}


VAULT = openai(type="vault", backend="hashicorp", path="secret/data/llm/openai")


def test_secrets_that_are_kept_elsewhere(
    serve: Serve, providers: Emulators, vault: VaultEmulator, moto: str, tmp_path: Path
) -> None:
    """One key in four places: in Vault, in AWS Secrets Manager, mounted into the pod, and in the cluster's API."""
    mount, token, config = mounted(tmp_path / "mount"), tmp_path / "token", tmp_path / "kubeconfig"
    keys = {"AWS_ACCESS_KEY_ID": "AKIDROTATION", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}
    keeper = Session().create_client(
        "secretsmanager",
        region_name="us-east-1",
        endpoint_url=moto,
        aws_access_key_id="admin",
        aws_secret_access_key="admin",
    )
    name = keeper.create_secret(Name=f"rotated/{secrets.token_hex(4)}", SecretString="none")["Name"]
    written(token, vault.service_account("llm/proxy"))
    with KubernetesApi() as api:
        api.allow("minikube-user", "get", "secrets", "default", "openai")
        written(config, json.dumps(with_certificate(api, "minikube-user")))

        def keep(key: str, version: int) -> None:
            vault.put("secret/llm/openai", {"api_key": key})
            keeper.put_secret_value(SecretId=name, SecretString=key)
            publish(mount, version, {"api_key": key})
            api.keep("default", "openai", api_key=key)

        keep(providers.credentials.openai_key, 1)
        instances = {
            "vault": VAULT,
            "manager": openai(type="vault", backend="aws_secrets_manager", secret_name=name),
            # Not followed for an hour, so that it is the refusal alone which has it read again.
            "mount": openai(
                type="kubernetes_secret", secret_name="openai", mount_path=str(mount), refresh_interval="1h"
            ),
            "cluster": openai(type="kubernetes_secret", secret_name="openai"),
        }
        gateway = serve(
            emulators=providers,
            environ={**NOBODY, **keys, "KUBECONFIG": str(config)},
            instances=instances,
            vaults={**at(vault, token), "aws_secrets_manager": {"endpoint_url": moto}},
            models={},
        )
        with calling(gateway, list(instances), each=1) as callers:
            key = new_key()
            keep(key, 2)
            take_key(providers, key)
            callers.go_on()
        assert len([line for line in gateway.lines("request") if line.get("renewed")]) >= len(instances)


class Cluster(Sts):
    """AWS's STS, and the cluster whose tokens it takes; Bedrock takes the newest keys that it gave."""

    def __init__(self, providers: Emulators) -> None:
        super().__init__({ROLE: StsRole(subjects=[SUBJECT])})
        self._providers = providers

    def keys_for(self, role: str) -> sigv4.Keys:
        keys = super().keys_for(role)
        take_keys(self._providers, keys)
        return keys

    def void_tokens(self) -> None:
        """No token of before is good any more."""
        self._key = secrets.token_bytes(32)


def test_projected_tokens(serve: Serve, providers: Emulators, vault: VaultEmulator, tmp_path: Path) -> None:
    """What was got by the old token is void with it, so that another fetch is due, which has to show the new one."""
    ours, theirs = tmp_path / "token", tmp_path / "vault-token"
    old = vault.service_account("llm/proxy")
    written(theirs, old)
    vault.put("secret/llm/openai", {"api_key": providers.credentials.openai_key})
    with Cluster(providers) as cluster:
        written(ours, cluster.token(SUBJECT))
        irsa = {"AWS_ROLE_ARN": ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": str(ours), "AWS_REGION": "us-east-1"}
        identity = {"strategies": [{"type": "workload_identity", "provider": "aws"}]}
        gateway = serve(
            emulators=providers,
            environ={**NOBODY, **irsa, "AWS_ENDPOINT_URL_STS": cluster.url},
            instances={
                "vault": VAULT,
                "bedrock_us1": {"type": "bedrock", "region": "us-east-1", "authentication": identity},
            },
            vaults=at(vault, theirs),
            models={},
        )
        with calling(gateway, ["vault", "bedrock_us1"], each=2) as callers:
            new, key = vault.service_account("llm/proxy"), new_key()
            written(theirs, new)
            vault.put("secret/llm/openai", {"api_key": key})
            del vault.service_accounts[old]
            for token in list(vault.tokens):
                vault.revoke(token)
            take_key(providers, key)
            callers.go_on()
            assert [call.json["jwt"] for call in vault.calls if call.path.endswith("/login")] == [old, new]

            cluster.void_tokens()
            written(ours, cluster.token(SUBJECT))
            take_keys(providers, replace(next(iter(cluster.issued.values()))[0], access_key_id="ASIATHEIRSNOW"))
            callers.go_on()
            assert len({call.form["WebIdentityToken"] for call in cluster.calls}) == len(cluster.calls) == 2
