"""The user's four-strategy file, unchanged, on each platform of the table: who is taken, what is said, who pays."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llmauth.demo.credentials import DemoCredentials
from llmauth.demo.emulators import Emulators
from tests.emulators.kubernetes_api import KubernetesApi
from tests.emulators.sts import Role as StsRole
from tests.emulators.sts import Sts
from tests.emulators.vault import VaultEmulator
from tests.fixtures.calls import JSON, code, get
from tests.fixtures.raw import Answer, Wire
from tests.fixtures.serving import Serving

ROLE = "arn:aws:iam::111122223333:role/bedrock-proxy"
ACCOUNT = "system:serviceaccount:llm:proxy"
# As it stands in the user's document.
FOUR = [
    {"type": "workload_identity", "provider": "aws"},
    {"type": "vault", "backend": "hashicorp", "path": "aws/sts/bedrock-role"},
    {"type": "vault", "backend": "aws_secrets_manager", "secret_name": "bedrock-api-key"},
    {"type": "kubernetes_secret", "secret_name": "bedrock-credentials"},
]
INSTANCES = {"bedrock_us1": {"type": "bedrock", "region": "us-east-1", "authentication": {"strategies": FOUR}}}
CONVERSE = json.dumps({"messages": [{"role": "user", "content": [{"text": "hi"}]}]}).encode()
PATH = "/transparent/bedrock_us1/model/anthropic.claude-3-haiku-20240307-v1%3A0/converse"
NOBODY = {"AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent", "HOME": "/nonexistent"}
Serve = Callable[..., Serving]


def served(serve: Serve, emulators: Emulators, environ: Mapping[str, str], **more: Any) -> Serving:
    # The machine on which this runs is nobody's cloud, whatever it says of itself.
    platform = {"capabilities": {"aws": "auto"}, **more.pop("platform", {})}
    ca = {"create": True}
    return serve(
        emulators=emulators, environ={**NOBODY, **environ}, instances=INSTANCES, platform=platform, ca=ca, **more
    )


def ask(gateway: Serving) -> Answer:
    with Wire(gateway.port) as wire:
        return wire.request("POST", PATH, [("Host", "gateway"), ("X-API-Key", gateway.key()), JSON], CONVERSE)


def with_keys(emulators: Emulators, key_id: str, secret: str, token: str | None) -> None:
    """What Bedrock takes from now on."""
    emulators.credentials = replace(
        emulators.credentials, aws_access_key_id=key_id, aws_secret_access_key=secret, aws_session_token=token
    )


@pytest.fixture
def bedrock():
    with Emulators(credentials=DemoCredentials.random(), tokens=2, pace=0) as emulators:
        yield emulators


def messages(gateway: Serving) -> list[str]:
    """What was said of the platform and of the instance, in order."""
    said = [(line["level"], line["message"]) for line in gateway.lines()]
    about = re.compile(r"Platform detected|Features available|\[bedrock_us1\]")
    return [f"{level} {message}" for level, message in said if about.match(message) and level != "DEBUG"]


def irsa(sts: Sts, folder: Path) -> dict[str, str]:
    token = folder / "token"
    token.write_text(sts.token(ACCOUNT))
    return {
        "KUBERNETES_SERVICE_HOST": "10.0.0.1",
        "AWS_ROLE_ARN": ROLE,
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(token),
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL_STS": sts.url,
    }


def test_on_eks_the_workloads_own_identity_is_taken(serve: Serve, bedrock: Emulators, tmp_path: Path) -> None:
    with Sts({ROLE: StsRole(subjects=[ACCOUNT])}) as sts:
        gateway = served(serve, bedrock, irsa(sts, tmp_path), platform={"type": "eks"})
        _until_ready(gateway)
        assert messages(gateway) == [
            "INFO Platform detected: eks",
            "INFO Features available: aws_workload_identity=true",
            "INFO [bedrock_us1] Trying strategy: workload_identity",
            "INFO [bedrock_us1] ✅ Successfully initialized with workload_identity",
            "INFO [bedrock_us1] Credentials will auto-rotate every 60 minutes",
        ]
        ((keys, role),) = sts.issued.values()
        assert role == ROLE
        with_keys(bedrock, keys.access_key_id, keys.secret_access_key, keys.session_token)
        assert ask(gateway).status == 200
        assert len(sts.calls) == 1


def remembered(vault: VaultEmulator, path: str) -> list[Mapping[str, Any]]:
    """What an engine will have lent."""
    engine, lent = vault.engines[path], list[Mapping[str, Any]]()

    def make() -> Mapping[str, Any]:
        lent.append(engine.make())
        return lent[-1]

    vault.engines[path] = replace(engine, make=make)
    return lent


def azure_pod(folder: Path) -> dict[str, str]:
    return {
        "KUBERNETES_SERVICE_HOST": "10.0.0.1",
        "AZURE_FEDERATED_TOKEN_FILE": str(folder / "azure-identity-token"),
        "AZURE_CLIENT_ID": "11111111-2222-3333-4444-555555555555",
        "AZURE_TENANT_ID": "11111111-2222-3333-4444-666666666666",
        "AZURE_AUTHORITY_HOST": "https://login.microsoftonline.com/",
    }


@pytest.mark.parametrize("platform", ["aks", "gke"])
def test_where_aws_has_no_identity_the_vault_is_taken(
    serve: Serve, bedrock: Emulators, tmp_path: Path, platform: str
) -> None:
    with VaultEmulator() as vault:
        vault.sts("bedrock-role", ttl=3600)
        lent = remembered(vault, "aws/sts/bedrock-role")
        environ = {"VAULT_ADDR": vault.url, "VAULT_TOKEN": vault.token(), "VAULT_CACERT": str(vault.write_ca(tmp_path))}
        environ |= azure_pod(tmp_path) if platform == "aks" else {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}
        gateway = served(serve, bedrock, environ, platform={"type": platform})
        _until_ready(gateway)
        said = messages(gateway)
        assert said[0] == f"INFO Platform detected: {platform}"
        if platform == "aks":
            assert said[1] == "INFO Features available: azure_workload_identity=true"
        assert said[2:] == [
            "INFO [bedrock_us1] Trying strategy: workload_identity (aws)",
            f"WARN [bedrock_us1] ⚠️  AWS workload identity not available on {platform}",
            "INFO [bedrock_us1] Trying strategy: vault (hashicorp)",
            "INFO [bedrock_us1] ✅ Successfully initialized with vault",
            "INFO [bedrock_us1] Credentials TTL: 3600 seconds",
        ]
        (keys,) = lent
        with_keys(bedrock, keys["access_key"], keys["secret_key"], keys["security_token"])
        assert ask(gateway).status == 200


def test_on_a_laptop_the_secret_of_its_minikube_is_taken(serve: Serve, bedrock: Emulators, tmp_path: Path) -> None:
    with KubernetesApi() as api:
        good = bedrock.credentials
        api.keep(
            "default",
            "bedrock-credentials",
            access_key_id=good.aws_access_key_id,
            secret_access_key=good.aws_secret_access_key + "\n",
            session_token=good.aws_session_token or "",
        )
        api.allow("minikube-user", "get", "secrets", "default", "bedrock-credentials")
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(json.dumps(_kubeconfig(api)))
        gateway = served(serve, bedrock, {"KUBECONFIG": str(kubeconfig)}, platform={"type": "generic"})
        _until_ready(gateway)
        said = messages(gateway)
        assert said[:4] == [
            "INFO Platform detected: generic",
            "INFO Features available: none",
            "INFO [bedrock_us1] Trying strategy: workload_identity (aws)",
            "WARN [bedrock_us1] ⚠️  AWS workload identity not available on generic",
        ]
        assert said[-2:] == [
            "INFO [bedrock_us1] Trying strategy: kubernetes_secret",
            "INFO [bedrock_us1] ✅ Successfully initialized with kubernetes_secret",
        ]
        assert ask(gateway).status == 200


def _kubeconfig(api: KubernetesApi) -> dict[str, Any]:
    from base64 import b64encode

    certificate, key = (b64encode(text.encode()).decode() for text in api.certificate("minikube-user"))
    authority = b64encode(api.pem.encode()).decode()
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "minikube",
        "contexts": [{"name": "minikube", "context": {"cluster": "minikube", "user": "minikube"}}],
        "clusters": [{"name": "minikube", "cluster": {"server": api.url, "certificate-authority-data": authority}}],
        "users": [
            {"name": "minikube", "user": {"client-certificate-data": certificate, "client-key-data": key}},
        ],
    }


def test_where_every_strategy_fails_the_client_is_told_names_alone(serve: Serve, bedrock: Emulators) -> None:
    gateway = served(serve, bedrock, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, platform={"type": "aks"})
    answer = ask(gateway)
    assert answer.status == 500
    told = json.loads(answer.body)["message"]
    assert "Cannot authenticate to provider bedrock_us1" in told
    for strategy in (
        "workload_identity (aws)",
        "vault (hashicorp)",
        "vault (aws_secrets_manager)",
        "kubernetes_secret",
    ):
        assert strategy in told
    assert "VAULT_ADDR" not in told
    assert answer.header("x-amzn-errortype") is not None
    warnings = [line for line in gateway.lines() if line["level"] == "WARN" and "[bedrock_us1]" in line["message"]]
    assert len({line["strategy"] for line in warnings}) == len(warnings) == 4
    assert bedrock.requests() == ()
    assert get(gateway, "/health").status == 200
    ready = get(gateway, "/ready")
    one = json.loads(ready.body)["instances"]["bedrock_us1"]
    assert (ready.status, one["status"], set(one["strategies"].values())) == (503, "failed", {"not_used"})


def _until_ready(gateway: Serving) -> None:
    from tests.fixtures.calls import eventually

    eventually(lambda: get(gateway, "/ready").status == 200, timeout=10)


def test_a_refusal_in_openais_shape_has_its_code(serve: Serve) -> None:
    instances = {
        "openai": {
            "type": "openai",
            "authentication": {"strategies": [{"type": "vault", "backend": "hashicorp", "path": "x"}]},
        }
    }
    gateway = serve(environ={}, instances=instances)
    with Wire(gateway.port) as wire:
        answer = wire.request(
            "POST",
            "/transparent/openai/v1/chat/completions",
            [("Host", "g"), ("X-API-Key", gateway.key()), JSON],
            b"{}",
        )
    assert (answer.status, code(answer)) == (500, "credential_unavailable")
