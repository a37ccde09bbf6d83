"""The emulated Vault, met by hvac: the library reads what it gives, and raises for what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llmauth.clock import ManualClock
from llmauth.demo import sigv4
from tests.e2e.clients.sdks import Sdks
from tests.emulators.vault import AppRole, Role, VaultEmulator
from tests.llmauth.demo.clients import ClientProblem, cloud_interpreter

ASK = """
client = hvac.Client(url=url, verify=ca, token=token, namespace=namespace)
result = eval(question, {"client": client, **given})
if isinstance(result, hvac.adapters.requests.Response):
    result = result.status_code
"""


@pytest.fixture(scope="module")
def sdks() -> Iterator[Sdks]:
    sdks = Sdks(cloud_interpreter(), "hvac")
    yield sdks
    sdks.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def vault(clock: ManualClock) -> Iterator[VaultEmulator]:
    with VaultEmulator(clock=clock, namespaces=["team"]) as vault:
        vault.allow("llm", "secret/data/llm/*", "kv/llm/*", "aws/*")
        yield vault


class Hvac:
    """hvac in its process; what is asked is an expression over `client` and what is given."""

    def __init__(self, sdks: Sdks, vault: VaultEmulator, ca: Path) -> None:
        self.sdks, self.vault, self.ca = sdks, vault, ca
        self.token = vault.token(Role(policies=["default", "llm"], ttl=600, max_ttl=1000))

    def ask(self, question: str, *, token: str | None = None, namespace: str | None = None, **given: Any) -> Any:
        return self.sdks.run(
            ASK,
            {},
            url=self.vault.url,
            ca=str(self.ca),
            token=self.token if token is None else token,
            namespace=namespace,
            question=question,
            given=given,
        )

    def refused(self, question: str, **given: Any) -> str:
        with pytest.raises(ClientProblem) as refused:
            self.ask(question, **given)
        return refused.value.kind


@pytest.fixture
def hvac(sdks: Sdks, vault: VaultEmulator, tmp_path: Path) -> Hvac:
    return Hvac(sdks, vault, vault.write_ca(tmp_path))


LLMAUTH = Role(policies=["default", "llm"], ttl=600, binds=["llm/llmauth", "AKIAVAULTCALLER00001"])


# ---- logins --------------------------------------------------------------------------------------------------------


def test_kubernetes(hvac: Hvac, vault: VaultEmulator) -> None:
    vault.kubernetes["llmauth"] = LLMAUTH
    login = "client.auth.kubernetes.login(role, jwt)"
    good = vault.service_account("llm/llmauth")
    auth = hvac.ask(login, token="", role="llmauth", jwt=good)["auth"]
    assert (auth["lease_duration"], auth["renewable"]) == (600, True)
    assert auth["client_token"] in vault.tokens
    assert hvac.refused(login, token="", role="other", jwt=good) == "InvalidRequest"
    assert hvac.refused(login, token="", role="llmauth", jwt="eyJ.unknown.sig") == "Forbidden"
    assert hvac.refused(login, token="", role="llmauth", jwt=vault.service_account("llm/other")) == "Forbidden"


def test_the_uses_of_a_secret_id_are_counted(hvac: Hvac, vault: VaultEmulator) -> None:
    vault.approle["role-1"] = AppRole(LLMAUTH, {"once": 1})
    login = "client.auth.approle.login(role_id, secret_id)"
    assert hvac.ask(login, token="", role_id="role-1", secret_id="once")["auth"]["client_token"]
    assert hvac.refused(login, token="", role_id="role-1", secret_id="once") == "InvalidRequest"


def test_jwt(hvac: Hvac, vault: VaultEmulator, clock: ManualClock) -> None:
    vault.jwt["llmauth"] = LLMAUTH
    login = "client.auth.jwt.jwt_login(role, jwt)"
    good = vault.signed_jwt("llm/llmauth")
    assert hvac.ask(login, token="", role="llmauth", jwt=good)["auth"]["client_token"]
    other = vault.signed_jwt("llm/llmauth", audience="somebody-else")
    for bad in (vault.signed_jwt("llm/other"), other, good[:-4] + "AAAA"):
        assert hvac.refused(login, token="", role="llmauth", jwt=bad) == "InvalidRequest"
    clock.advance(601)
    assert hvac.refused(login, token="", role="llmauth", jwt=good) == "InvalidRequest"


def test_aws(hvac: Hvac, vault: VaultEmulator) -> None:
    vault.aws["llmauth"] = LLMAUTH
    keys = sigv4.Keys(access_key_id="AKIAVAULTCALLER00001", secret_access_key="secret", session_token="session")
    vault.aws_keys[keys.access_key_id] = keys
    login = "client.auth.aws.iam_login(key, secret, 'session', header_value=header, role='llmauth')"
    given = {"key": keys.access_key_id, "secret": "secret", "header": None}
    assert hvac.ask(login, token="", **given)["auth"]["client_token"]
    assert hvac.refused(login, token="", **given | {"secret": "wrong"}) == "InvalidRequest"
    vault.server_id = "vault.example"
    assert hvac.refused(login, token="", **given) == "InvalidRequest"
    assert hvac.ask(login, token="", **given | {"header": "vault.example"})["auth"]["client_token"]


# ---- tokens and leases ---------------------------------------------------------------------------------------------


def test_a_token_is_renewed_until_its_last_end(hvac: Hvac, clock: ManualClock) -> None:
    renew = "client.auth.token.renew_self()['auth']['lease_duration']"
    clock.advance(500)
    assert hvac.ask(renew) == 500
    clock.advance(300)
    assert hvac.ask(renew) == 200
    assert hvac.ask("client.auth.token.lookup_self()['data']['ttl']") == 200
    clock.advance(201)
    assert hvac.refused(renew) == "Forbidden"


def test_keys_of_sts_cannot_be_renewed(hvac: Hvac, vault: VaultEmulator) -> None:
    vault.sts("bedrock", ttl=900)
    for question in (
        "client.read('aws/sts/bedrock')",
        "client.secrets.aws.generate_credentials('bedrock', endpoint='sts')",
    ):
        lent = hvac.ask(question, token=vault.token())
        assert (lent["lease_duration"], lent["renewable"], lent["data"]["ttl"]) == (900, False, 900)
        assert lent["data"]["security_token"] == lent["data"]["session_token"]
        assert lent["data"]["access_key"].startswith("ASIA")
        assert hvac.refused("client.sys.renew_lease(lease)", lease=lent["lease_id"]) == "InvalidRequest"


def test_keys_of_a_user_are_renewed_and_end_with_their_token(
    hvac: Hvac, vault: VaultEmulator, clock: ManualClock
) -> None:
    vault.creds("bedrock", ttl=300, max_ttl=500)
    lent = hvac.ask("client.read('aws/creds/bedrock')")
    assert (lent["renewable"], lent["data"]["security_token"]) == (True, None)
    renew = "client.sys.renew_lease(lease, increment=300)['lease_duration']"
    clock.advance(250)
    assert hvac.ask(renew, lease=lent["lease_id"]) == 250
    vault.revoke(hvac.token)
    assert hvac.refused(renew, token=vault.token(), lease=lent["lease_id"]) == "InvalidRequest"


# ---- key-value -----------------------------------------------------------------------------------------------------


def test_version_2_with_its_versions(hvac: Hvac, vault: VaultEmulator) -> None:
    vault.put("secret/llm/openai", {"api_key": "old"})
    vault.put("secret/llm/openai", {"api_key": "new"})
    read = "client.secrets.kv.v2.read_secret_version('llm/openai', raise_on_deleted_version=True)"
    data = hvac.ask(read)["data"]
    assert (data["data"], data["metadata"]["version"]) == ({"api_key": "new"}, 2)
    vault.delete("secret/llm/openai")
    assert hvac.refused(read) == "InvalidPath"
    kept = hvac.ask(read.replace("True", "False"))
    assert kept["data"]["data"] is None
    assert kept["data"]["metadata"]["deletion_time"]


def test_version_1_with_a_lease_that_means_nothing(hvac: Hvac, vault: VaultEmulator) -> None:
    vault.put("kv/llm/openai", {"api_key": "one"})
    read = hvac.ask("client.secrets.kv.v1.read_secret('llm/openai', mount_point='kv')")
    assert (read["data"], read["lease_id"], read["lease_duration"]) == ({"api_key": "one"}, "", 2764800)


def test_what_is_not_there(hvac: Hvac) -> None:
    """hvac's own `read` makes `None` of a 404."""
    assert hvac.ask("client.read('secret/data/llm/none')") is None
    assert hvac.ask("client.read('kv/llm/none')") is None


# ---- what is refused -----------------------------------------------------------------------------------------------


def test_policies_by_path(hvac: Hvac, vault: VaultEmulator) -> None:
    vault.put("secret/other", {"api_key": "one"})
    assert hvac.refused("client.read('secret/data/other')") == "Forbidden"
    assert hvac.refused("client.read('secret/data/llm/openai')", token="hvs.unknown") == "Forbidden"


def test_a_token_is_of_one_namespace(hvac: Hvac, vault: VaultEmulator) -> None:
    vault.put("secret/llm/openai", {"api_key": "root's"})
    vault.put("secret/llm/openai", {"api_key": "team's"}, namespace="team")
    read = "client.read('secret/data/llm/openai')['data']['data']['api_key']"
    assert hvac.ask(read) == "root's"
    assert hvac.ask(read, token=vault.token(namespace="team"), namespace="team") == "team's"
    assert hvac.refused(read, namespace="team") == "Forbidden"
    assert hvac.ask("client.read('secret/data/llm/openai')", namespace="nobody") is None


def test_a_call_without_the_librarys_header(hvac: Hvac) -> None:
    """412, as the listener that wants it answers; hvac has no exception of its own for it."""
    code = ASK.replace("namespace=namespace", "namespace=namespace, request_header=False")
    given: dict[str, Any] = {"url": hvac.vault.url, "ca": str(hvac.ca), "token": hvac.token}
    with pytest.raises(ClientProblem) as refused:
        hvac.sdks.run(code, {}, question="client.read('kv/llm/openai')", namespace=None, given={}, **given)
    assert refused.value.kind == "UnexpectedError"


def test_a_sealed_one_a_limited_one_and_a_standby(hvac: Hvac, vault: VaultEmulator) -> None:
    vault.limited = True
    assert hvac.refused("client.read('kv/llm/openai')") == "RateLimitExceeded"
    vault.limited, vault.sealed = False, True
    assert hvac.refused("client.read('kv/llm/openai')") == "VaultDown"
    assert hvac.ask("client.sys.read_health_status(method='GET')") == 503
    vault.sealed = False
    with VaultEmulator(authority=vault.authority) as standby:
        standby.standby_of = vault.url
        vault.put("kv/llm/openai", {"api_key": "one"})
        followed = "client.read('kv/llm/openai')['data']['api_key']"
        behind = Hvac(hvac.sdks, standby, hvac.ca)
        # Left to itself, hvac shows its token to whatever address a standby names.
        assert behind.ask(followed, token=hvac.token) == "one"
        assert vault.calls[-1].headers["x-vault-token"] == hvac.token
