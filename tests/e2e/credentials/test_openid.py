"""Tokens of a real OpenID provider, exchanged where one is federated with: by discovery, JWKS and claims."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from llmauth.clock import SystemClock
from llmauth.credentials import StrategyOptions
from llmauth.credentials.base import Options
from llmauth.demo import sigv4
from llmauth.demo.emulators import Emulators
from llmauth.platform import ThisMachine
from llmauth.sources import SourceFailed
from llmauth.vaults import VaultsOptions
from tests.e2e.credentials.outages import Row, Street
from tests.emulators import entra, google_sts, sts, vault
from tests.emulators.entra import EntraEmulator
from tests.emulators.google_sts import GoogleTokens, external_account_file, leading
from tests.emulators.sts import Role, Sts
from tests.emulators.trust import Trust
from tests.emulators.vault import Role as VaultRole
from tests.emulators.vault import VaultEmulator
from tests.fixtures.calls import CHAT, JSON
from tests.fixtures.openid import OpenIdProvider
from tests.fixtures.raw import Wire
from tests.fixtures.serving import Serving

SUBJECT = "system:serviceaccount:llm:proxy"
STRANGER = "system:serviceaccount:default:default"
ROLE = "arn:aws:iam::111122223333:role/bedrock-proxy"
CONVERSE = json.dumps({"messages": [{"role": "user", "content": [{"text": "hi"}]}]}).encode()
MODEL = "anthropic.claude-3-haiku-20240307-v1%3A0"
KEY = "sk-canary-behind-openid-0123456789"
AUDIENCES = {
    "aws": sts.AUDIENCE,
    "aws_moto": sts.AUDIENCE,
    "azure": entra.AUDIENCE,
    "google": google_sts.AUDIENCE,
    "vault": vault.AUDIENCE,
}
_OPTIONS: TypeAdapter[Options] = TypeAdapter(StrategyOptions)
Serve = Callable[..., Serving]


@pytest.fixture(scope="module")
def issuer() -> Iterator[OpenIdProvider]:
    with OpenIdProvider([SUBJECT, STRANGER, entra.SUBJECT]) as provider:
        yield provider


def projected(folder: Path) -> Path:
    """Where a row's token lies."""
    return folder / "token"


def subject(name: str) -> str:
    """Whom the service of this row knows."""
    return entra.SUBJECT if name == "azure" else SUBJECT


# ---- the rows: each a strategy, and the service that it shows its token to -----------------------------------------


def irsa(folder: Path, url: str) -> Mapping[str, str]:
    """The variables of a pod with a role."""
    token = str(projected(folder))
    named = {"AWS_ROLE_ARN": ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": token, "AWS_REGION": "us-east-1"}
    return {**named, "AWS_ENDPOINT_URL_STS": url}


def row(name: str, *, provider: Any, environ: Mapping[str, str], options: Mapping[str, Any], **more: Any) -> Row:
    written = _OPTIONS.validate_python(options)
    machine = ThisMachine(dict(environ))
    return Row(name=name, provider=provider, options=written, machine=machine, services=[], **more)


def aws(street: Street, folder: Path, trusts: Trust) -> Row:
    service = street.started(Sts({ROLE: Role(subjects=[SUBJECT])}, trusts=trusts))
    options = {"type": "workload_identity", "provider": "aws"}
    return row("aws", provider="bedrock", environ=irsa(folder, service.url), options=options)


def aws_moto(street: Street, folder: Path, _trusts: Trust) -> Row:
    options = {"type": "workload_identity", "provider": "aws"}
    return row("aws_moto", provider="bedrock", environ=irsa(folder, street.moto), options=options)


def azure(street: Street, folder: Path, trusts: Trust) -> Row:
    service = street.started(EntraEmulator(trusts=trusts))
    named = {"AZURE_CLIENT_ID": entra.CLIENT, "AZURE_TENANT_ID": entra.TENANT}
    return row(
        "azure",
        provider="azure",
        environ={**named, "AZURE_FEDERATED_TOKEN_FILE": str(projected(folder))},
        options={"type": "workload_identity", "provider": "azure"},
        outbound=entra.reaching(folder, service),
    )


def google(street: Street, folder: Path, trusts: Trust) -> Row:
    service = street.started(GoogleTokens(trusts=trusts))
    file = folder / "google.json"
    file.write_text(json.dumps(external_account_file({"file": str(projected(folder))})))
    return row(
        "google",
        provider="vertex",
        environ={"GOOGLE_APPLICATION_CREDENTIALS": str(file)},
        options={"type": "workload_identity", "provider": "gcp"},
        outbound=leading(folder, service),
    )


def in_vault(service: VaultEmulator, folder: Path) -> dict[str, Any]:
    """The section that leads to it."""
    login = {"method": "jwt", "role": "llmauth", "token_file": str(projected(folder))}
    return {"hashicorp": {"address": service.url, "ca_file": str(service.write_ca(folder)), "auth": login}}


def trusting(service: VaultEmulator, trusts: Trust) -> VaultEmulator:
    """The same, with a key that who is known may read."""
    service.trusts = trusts
    service.allow("llm", "secret/*")
    service.jwt["llmauth"] = VaultRole(policies=["default", "llm"], binds=[SUBJECT])
    service.put("secret/llm/openai", {"api_key": KEY})
    return service


VAULT = {"type": "vault", "backend": "hashicorp", "path": "secret/data/llm/openai"}


def of_vault(street: Street, folder: Path, trusts: Trust) -> Row:
    service = trusting(street.started(VaultEmulator()), trusts)
    sections = VaultsOptions.model_validate(in_vault(service, folder))
    return row("vault", provider="openai", environ={}, options=VAULT, vaults=sections)


BUILDERS = {"aws": aws, "aws_moto": aws_moto, "azure": azure, "google": google, "vault": of_vault}


@pytest.fixture
def stand(issuer: OpenIdProvider, moto: str, tmp_path: Path) -> Iterator[Callable[[str], Row]]:
    with Street(tmp_path, moto, []) as street:
        yield lambda name: BUILDERS[name](street, tmp_path, Trust(issuer.issuer))


@pytest.mark.parametrize("name", BUILDERS)
def test_a_token_of_the_provider_is_exchanged(
    stand: Callable[[str], Row], issuer: OpenIdProvider, tmp_path: Path, name: str
) -> None:
    projected(tmp_path).write_text(issuer.token(subject(name), AUDIENCES[name]))
    loaded = stand(name).strategy(SystemClock()).load()
    assert loaded.credential is not None


# moto believes every token; and a pool of Google takes every subject of its provider, which IAM may then refuse.
WRONG = ("audience", "issuer", "signature", "subject")
REFUSED = [(name, wrong) for name in BUILDERS for wrong in WRONG if name != "aws_moto"]
REFUSED.remove(("google", "subject"))


@pytest.mark.parametrize(("name", "wrong"), REFUSED)
def test_another_token_is_refused(
    stand: Callable[[str], Row], issuer: OpenIdProvider, tmp_path: Path, name: str, wrong: str
) -> None:
    if wrong == "issuer":
        with OpenIdProvider([subject(name)]) as other:
            token = other.token(subject(name), AUDIENCES[name])
    else:
        token = issuer.token(
            STRANGER if wrong == "subject" else subject(name),
            "api://somebody-else" if wrong == "audience" else AUDIENCES[name],
        )
    if wrong == "signature":
        token = spoilt(token)
    projected(tmp_path).write_text(token)
    strategy = stand(name).strategy(SystemClock())
    with pytest.raises(SourceFailed) as refused:
        strategy.load()
    assert token not in str(refused.value)


def spoilt(token: str) -> str:
    """The same claims, and a signature that differs in its first character."""
    signed, _, signature = token.rpartition(".")
    return f"{signed}.{'B' if signature.startswith('A') else 'A'}{signature[1:]}"


# ---- a gateway -----------------------------------------------------------------------------------------------------


class TrustingSts(Sts):
    """Bedrock takes the keys that it gave last, and no others."""

    def __init__(self, providers: Emulators, trusts: Trust) -> None:
        super().__init__({ROLE: Role(subjects=[SUBJECT])}, trusts=trusts)
        self._providers = providers

    def keys_for(self, role: str) -> sigv4.Keys:
        keys = super().keys_for(role)
        self._providers.credentials = replace(
            self._providers.credentials,
            openai_key=KEY,
            aws_access_key_id=keys.access_key_id,
            aws_secret_access_key=keys.secret_access_key,
            aws_session_token=keys.session_token,
        )
        return keys


def test_a_gateway_whose_only_secret_is_a_token_of_the_provider(
    serve: Serve, providers: Emulators, issuer: OpenIdProvider, tmp_path: Path
) -> None:
    """One pod, two tokens: one is exchanged for keys of Bedrock, one opens Vault, which has the key of OpenAI."""
    trusts = Trust(issuer.issuer)
    cluster, theirs = tmp_path / "aws", tmp_path / "vault"
    for folder, audience in ((cluster, sts.AUDIENCE), (theirs, vault.AUDIENCE)):
        folder.mkdir()
        projected(folder).write_text(issuer.token(SUBJECT, audience))
    identity = {"strategies": [{"type": "workload_identity", "provider": "aws"}]}
    with TrustingSts(providers, trusts) as service, VaultEmulator() as safe:
        gateway = serve(
            emulators=providers,
            environ={**irsa(cluster, service.url), "AWS_CONFIG_FILE": "/nonexistent", "HOME": "/nonexistent"},
            instances={
                "bedrock_us1": {"type": "bedrock", "region": "us-east-1", "authentication": identity},
                "openai": {"type": "openai", "authentication": {"strategies": [VAULT]}},
            },
            vaults=in_vault(trusting(safe, trusts), theirs),
            models={},
        )
        headers = [("Host", "gateway"), ("X-API-Key", gateway.key()), JSON]
        with Wire(gateway.port, timeout=20) as wire:
            bedrock = wire.request("POST", f"/transparent/bedrock_us1/model/{MODEL}/converse", headers, CONVERSE)
        with Wire(gateway.port, timeout=20) as wire:
            openai = wire.request("POST", "/transparent/openai/v1/chat/completions", headers, CHAT)
    assert (bedrock.status, openai.status) == (200, 200), (bedrock.body, openai.body)
    assert projected(cluster).read_text() not in gateway.log()
