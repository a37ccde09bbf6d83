"""The exchange of Google's credential files, with the emulated services; and what no file can make us do."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from llmauth.credentials.google import Google
from llmauth.outbound import Outbound
from llmauth.secrets import ApiKey, BearerToken, GoogleAccount, Secret
from llmauth.sources import SourceFailed
from tests.emulators.google_sts import (
    ACCOUNT,
    CLOUD,
    OAUTH,
    TARGET,
    USER,
    authorized_user_file,
    external_account_file,
    impersonation_url,
    leading,
    service_account_file,
)
from tests.emulators.service import Fault


def account(info: dict[str, Any]) -> GoogleAccount:
    return GoogleAccount(info=Secret(json.dumps(info)))


def impersonated_file(source: dict[str, Any], **changed: Any) -> dict[str, Any]:
    own = {"type": "impersonated_service_account", "service_account_impersonation_url": impersonation_url()}
    return own | {"source_credentials": source, "delegates": []} | changed


@pytest.mark.parametrize(
    ("info", "who"),
    [
        (service_account_file(), ACCOUNT),
        (authorized_user_file(), USER),
        (authorized_user_file(token="canary-7f3a", expiry="2099-01-01T00:00:00Z"), USER),
        (impersonated_file(authorized_user_file()), TARGET),
        (impersonated_file(service_account_file()), TARGET),
    ],
)
def test_a_file_is_exchanged(tokens, outbound, info, who) -> None:
    token, life = Google(outbound).token(account(info))
    assert tokens.directory.principal(token.reveal(), CLOUD) == who
    assert 3590 < life <= 3600


def test_what_it_takes() -> None:
    service = Google(Outbound())
    assert service.takes(account({}))
    assert not service.takes(ApiKey(value=Secret("k")))
    assert not service.takes(BearerToken(value=Secret("k")))


@pytest.mark.parametrize(
    ("info", "reason"),
    [
        (service_account_file(private_key_id="another"), "Google's token endpoint refused: invalid_grant"),
        (authorized_user_file(client_secret="another"), "Google's token endpoint refused: invalid_client"),
        (authorized_user_file(refresh_token="another"), "Google's token endpoint refused: invalid_grant"),
        (
            impersonated_file(
                authorized_user_file(),
                service_account_impersonation_url=impersonation_url("x@y.iam.gserviceaccount.com"),
            ),
            "Google IAM refused: PERMISSION_DENIED",
        ),
    ],
)
def test_a_refusal_is_told_by_its_code(outbound, info, reason) -> None:
    with pytest.raises(SourceFailed) as caught:
        Google(outbound).token(account(info))
    assert caught.value.reason == reason


def test_a_user_who_must_sign_in_again(tokens, outbound) -> None:
    tokens.directory.rapt = True
    with pytest.raises(SourceFailed, match="refused: invalid_grant, invalid_rapt"):
        Google(outbound).token(account(authorized_user_file()))
    assert len(tokens.calls) == 1


# S7: whoever writes a secret does not choose where what is made of it is sent, or what is read here.


@pytest.mark.parametrize(
    "uri",
    [
        "https://attacker.example/token",
        "http://oauth2.googleapis.com/token",
        "https://oauth2.googleapis.com.attacker.example/token",
        "https://oauth2.googleapis.com@attacker.example/token",
        "https://oauth2.googleapis.com:8443/token",
        "https://oauth2.googleapis.com/token?x=1",
        "https://oauth2.googleapis.com/token\n",
        "https://www.googleapis.com/upload/storage/v1/b/attacker/o?uploadType=media&name=x",
        "https://storage.googleapis.com/attacker/x",
        "http://169.254.169.254/token",
        "file:///etc/passwd",
    ],
)
def test_an_assertion_goes_to_google_alone(tokens, outbound, uri) -> None:
    with pytest.raises(SourceFailed, match="none of Google's token services"):
        Google(outbound).token(account(service_account_file(token_uri=uri)))
    assert not tokens.calls


@pytest.mark.parametrize(
    "url",
    [
        "https://attacker.example/v1/projects/-/serviceAccounts/a@b:generateAccessToken",
        impersonation_url() + "/../x",
        impersonation_url("a/../../x"),
        impersonation_url("a?x"),
        None,
        7,
    ],
)
def test_nobody_is_impersonated_elsewhere(tokens, outbound, url) -> None:
    info = impersonated_file(authorized_user_file(), service_account_impersonation_url=url)
    with pytest.raises(SourceFailed, match="no address of Google IAM"):
        Google(outbound).token(account(info))
    assert not tokens.calls


@pytest.mark.parametrize("source", [{"file": "/etc/shadow"}, {"url": "http://169.254.169.254/"}, {"executable": {}}])
def test_a_secret_does_not_name_what_is_read(tokens, outbound, source) -> None:
    for info in (external_account_file(source), impersonated_file(external_account_file(source))):
        with pytest.raises(SourceFailed, match=r"names what is to be read|its source_credentials are no"):
            Google(outbound).token(account(info))
    assert not tokens.calls


@pytest.mark.parametrize(
    ("info", "reason"),
    [
        (service_account_file(universe_domain="attacker.example"), "its universe_domain is another than"),
        (service_account_file(private_key="canary-7f3a"), "the service_account file cannot be used: "),
        (service_account_file(private_key=7), "the service_account file cannot be used: "),
        (service_account_file(client_email=["canary-7f3a"]), "Google's token endpoint refused|cannot be used"),
        ({"type": "service_account"}, "the service_account file cannot be used: "),
        ({"type": "authorized_user", "client_id": "x"}, "the authorized_user file cannot be used: KeyError"),
        (impersonated_file({"type": "service_account"}), "the service_account file cannot be used"),
        (impersonated_file(impersonated_file(authorized_user_file())), "its source_credentials are no"),
        ({"type": "gdch_service_account"}, "of this type is not known here"),
    ],
)
def test_a_file_that_cannot_be_used(outbound, info, reason) -> None:
    with pytest.raises(SourceFailed, match=reason) as caught:
        Google(outbound).token(account(info))
    assert "canary" not in caught.value.reason


@pytest.mark.parametrize("fault", ["slow", "garbage", "refuse", "broken"])
def test_faults_are_told_within_the_time(tokens, tmp_path, fault: Fault) -> None:
    """F2: one attempt, where google-auth makes three or waits for two minutes."""
    tokens.fault = fault
    started = time.monotonic()
    with pytest.raises(SourceFailed, match=f"Google|{OAUTH}") as caught:
        Google(leading(tmp_path, tokens, time_limit=0.5)).token(account(service_account_file()))
    assert time.monotonic() - started < 1.5
    assert len(tokens.calls) == 1
    assert "canary" not in caught.value.reason


def test_a_service_that_is_down(tokens, outbound) -> None:
    tokens.stop()
    with pytest.raises(SourceFailed, match=r"oauth2\.googleapis\.com cannot be asked: ConnectionRefusedError"):
        Google(outbound).token(account(service_account_file()))
