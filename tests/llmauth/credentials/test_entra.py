"""Entra's token endpoint: both proofs with the emulated one, its refusals, its outages, and where it stands."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llmauth.credentials.entra import Entra, authority_of, openai_scope
from llmauth.outbound import Answer, Outbound
from llmauth.secrets import ApiKey, EntraClient, Secret
from llmauth.sources import SourceFailed
from tests.emulators.entra import CLIENT, SECRET, TENANT, EntraEmulator, cluster_token, opened, reaching

OPENAI = "https://cognitiveservices.azure.com"
VAULT = "https://vault.azure.net"
GOVERNMENT = "login.microsoftonline.us"


@pytest.fixture
def emulator() -> Iterator[EntraEmulator]:
    with EntraEmulator(tls=("login.microsoftonline.com", GOVERNMENT)) as emulator:
        yield emulator


@pytest.fixture
def entra(emulator: EntraEmulator, tmp_path: Path) -> Entra:
    return Entra(reaching(tmp_path, emulator))


def client(**other: str) -> EntraClient:
    fields = {"tenant_id": TENANT, "client_id": CLIENT, "client_secret": SECRET} | other
    secret = Secret(fields["client_secret"])
    return EntraClient(tenant_id=fields["tenant_id"], client_id=fields["client_id"], client_secret=secret)


def test_a_secret_gives_a_token_for_azure_openai_and_its_life(emulator: EntraEmulator, entra: Entra) -> None:
    emulator.life = 1234
    token, life = entra.token(client())
    assert opened(token.reveal(), OPENAI)["appid"] == CLIENT
    assert life == 1234.0
    (call,) = emulator.calls
    assert call.path == f"/{TENANT}/oauth2/v2.0/token"
    assert set(call.form) == {"grant_type", "client_id", "client_secret", "scope"}


def test_another_scope(entra: Entra) -> None:
    token, _ = entra.for_application(client(), f"{VAULT}/.default")
    assert opened(token.reveal(), VAULT)["tid"] == TENANT


def test_a_clusters_token_stands_for_the_application(entra: Entra) -> None:
    token, life = entra.for_assertion(TENANT, CLIENT, Secret(cluster_token()), f"{OPENAI}/.default")
    assert opened(token.reveal(), OPENAI)["appid"] == CLIENT
    assert life == 3599.0


def test_only_applications_are_exchanged(entra: Entra) -> None:
    assert entra.takes(client())
    assert not entra.takes(ApiKey(value=Secret("k")))


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"client_secret": "other-value"}, "refused the application: AADSTS7000215, the client secret is wrong"),
        ({"client_id": "99999999-bbbb-4ccc-8ddd-eeeeeeeeeeee"}, "AADSTS700016, the tenant has no application"),
        ({"tenant_id": "99999999-2222-4333-8444-555555555555"}, "AADSTS90002, there is no such tenant"),
    ],
)
def test_a_refusal_is_told_by_its_code(entra: Entra, other: dict[str, str], reason: str) -> None:
    with pytest.raises(SourceFailed, match=reason) as caught:
        entra.token(client(**other))
    assert not any(word in caught.value.reason for word in ("canary", *other.values(), "Trace"))


def test_an_ended_secret(emulator: EntraEmulator, entra: Entra) -> None:
    emulator.secrets[SECRET] = False
    with pytest.raises(SourceFailed, match="AADSTS7000222, the client secret has ended"):
        entra.token(client())


@pytest.mark.parametrize(
    ("assertion", "reason"),
    [
        (cluster_token(life=-60), "refused the federated token: AADSTS700024, the token has ended"),
        (cluster_token(aud=["sts.amazonaws.com"]), "AADSTS700212, .* the token's audience"),
        (cluster_token(sub="system:serviceaccount:other:app"), "AADSTS700213, .* the token's subject"),
        (cluster_token(iss="https://elsewhere/"), "AADSTS700211, .* the token's issuer"),
        ("a.b.c", "AADSTS50027"),
    ],
)
def test_a_federated_token_that_is_refused(entra: Entra, assertion: str, reason: str) -> None:
    with pytest.raises(SourceFailed, match=reason):
        entra.for_assertion(TENANT, CLIENT, Secret(assertion), f"{OPENAI}/.default")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("refuse", "Entra refused the application: AADSTS53003$"),
        ("broken", "Entra gave no token: status 500$"),
        ("garbage", "Entra answered something that is no JSON object"),
    ],
)
def test_faults(emulator: EntraEmulator, entra: Entra, fault: Any, reason: str) -> None:
    emulator.fault = fault
    with pytest.raises(SourceFailed, match=reason) as caught:
        entra.token(client())
    assert "canary" not in caught.value.reason


def test_silence_ends_in_time(emulator: EntraEmulator, tmp_path: Path) -> None:
    emulator.fault = "slow"
    started = time.monotonic()
    with pytest.raises(SourceFailed, match=r"did not answer within 0\.5 s"):
        Entra(reaching(tmp_path, emulator).within(0.5)).token(client())
    assert time.monotonic() - started < 2


def test_an_outage_ends_with_it(emulator: EntraEmulator, entra: Entra) -> None:
    emulator.stop()
    with pytest.raises(SourceFailed, match=r"login\.microsoftonline\.com cannot be asked: ConnectionRefusedError"):
        entra.token(client())
    emulator.start()
    assert entra.token(client())


def test_a_certificate_of_somebody_else(emulator: EntraEmulator, tmp_path: Path) -> None:
    """S4: the secret does not leave before the other side has proved who it is."""
    way = reaching(tmp_path, emulator)
    with EntraEmulator() as other:
        wrong = Outbound(ca_file=other.write_ca(tmp_path), resolve=way._resolve)
        with pytest.raises(SourceFailed, match="could not be verified"):
            Entra(wrong).token(client())
    assert emulator.calls == []


# ---- where it stands ---------------------------------------------------------------------------------------------


def test_the_cloud_of_the_environment(emulator: EntraEmulator, tmp_path: Path) -> None:
    environ = {"AZURE_AUTHORITY_HOST": f"https://{GOVERNMENT}/"}
    entra = Entra(reaching(tmp_path, emulator), environ)
    with pytest.raises(SourceFailed, match="AADSTS500011"):  # the emulator's tenant knows no services of that cloud
        entra.token(client())
    (call,) = emulator.calls
    assert call.headers["host"] == GOVERNMENT
    assert call.form["scope"] == "https://cognitiveservices.azure.us/.default"


@pytest.mark.parametrize(
    ("written", "host"),
    [
        ("", "login.microsoftonline.com"),
        ("https://login.microsoftonline.com/", "login.microsoftonline.com"),
        ("login.microsoftonline.us", "login.microsoftonline.us"),
        ("https://Login.ChinaCloudApi.cn", "login.chinacloudapi.cn"),
        ("https://entra.corp:8443/", "entra.corp:8443"),
    ],
)
def test_authorities(written: str, host: str) -> None:
    assert authority_of({"AZURE_AUTHORITY_HOST": written}) == host


@pytest.mark.parametrize(
    "written",
    [
        "http://login.microsoftonline.com",
        "https://login.microsoftonline.com/tenant",
        "https://login.microsoftonline.com@evil.example",
        "https://user:pass@evil.example/",
        "https://evil.example\\@login.microsoftonline.com",
        "https://a.example?x=y",
        "https://a.example#x",
        "https://",
        "https://a.example\r\nX: y",
        "file:///etc/passwd",
    ],
)
def test_no_other_place_is_given_a_secret(written: str, emulator: EntraEmulator, tmp_path: Path) -> None:
    """S7: the place is https, and a host alone."""
    with pytest.raises(SourceFailed, match="AZURE_AUTHORITY_HOST is no https"):
        Entra(reaching(tmp_path, emulator), {"AZURE_AUTHORITY_HOST": written}).token(client())
    assert emulator.calls == []


def test_a_place_inside_is_not_reached_by_a_variable(emulator: EntraEmulator, tmp_path: Path) -> None:
    environ = {"AZURE_AUTHORITY_HOST": f"https://127.0.0.1:{emulator.port}"}
    with pytest.raises(SourceFailed, match="leads to a private address"):
        Entra(Outbound(ca_file=emulator.write_ca(tmp_path)), environ).token(client())


def test_scopes_of_clouds() -> None:
    assert openai_scope("login.microsoftonline.com") == f"{OPENAI}/.default"
    assert openai_scope("login.partner.microsoftonline.cn") == "https://cognitiveservices.azure.cn/.default"


@pytest.mark.parametrize("tenant", ["", "../common", "a/b", "a?b", "a b", "..", "a..b", "x" * 300, "tenant\r\nHost: y"])
def test_no_tenant_changes_the_path(emulator: EntraEmulator, entra: Entra, tenant: str) -> None:
    with pytest.raises(SourceFailed, match="neither the id"):
        entra.token(client(tenant_id=tenant))
    assert emulator.calls == []


# ---- every other answer ------------------------------------------------------------------------------------------


class Said(Outbound):
    """A service that says what it is told to."""

    def __init__(self, status: int, body: bytes) -> None:
        self.said = Answer(status=status, body=body)

    def post_form(self, host: str, path: str, form: Any) -> Answer:
        return self.said


GOOD = {"access_token": "canary-7f3a", "expires_in": 3600}


@pytest.mark.parametrize(
    ("status", "told", "reason"),
    [
        (200, [], "no JSON object"),
        (200, {"expires_in": 3600}, "without a token"),
        (200, {**GOOD, "access_token": "canary-7f3a\r\nX: y"}, "without a token"),
        (200, {**GOOD, "access_token": 7}, "without a token"),
        (200, {**GOOD, "expires_in": None}, "without the life"),
        (200, {**GOOD, "expires_in": True}, "without the life"),
        (200, {**GOOD, "expires_in": 0}, "without the life"),
        (200, {**GOOD, "expires_in": "3600"}, "without the life"),
        (200, {**GOOD, "expires_in": 10**9}, "without the life"),
        (200, {**GOOD, "expires_in": float("nan")}, "without the life"),
        (302, {}, "gave no token: status 302$"),
        (400, {"error_description": "canary-7f3a AADSTS90002"}, "refused the application: status 400$"),
        (400, {"error_description": "AADSTS1canary", "error": "canary 7"}, "refused the application: status 400$"),
        (400, {"error_description": "AADSTS" + "9" * 40}, "refused the application: status 400$"),
        (400, {"error_description": ["AADSTS90002"]}, "refused the application: status 400$"),
        (400, {"error": "invalid_client"}, "refused the application: status 400, invalid_client$"),
        (429, "canary-7f3a", "gave no token: status 429$"),
    ],
)
def test_no_other_answer_is_a_token(status: int, told: object, reason: str) -> None:
    with pytest.raises(SourceFailed, match=reason) as caught:
        Entra(Said(status, json.dumps(told).encode())).token(client())
    assert "canary" not in caught.value.reason


def test_the_good_one_is() -> None:
    """So that the table above refuses for its own reasons."""
    assert Entra(Said(200, json.dumps(GOOD).encode())).token(client()) == (Secret("canary-7f3a"), 3600.0)
