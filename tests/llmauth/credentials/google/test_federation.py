"""Federation with the emulated STS and IAM: each source of a token, and every file that leads to none."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from llmauth.credentials.google.federation import account_of, federated
from llmauth.sources import SourceFailed
from tests.emulators.google_sts import (
    AUDIENCE,
    AWS_TYPE,
    CLOUD,
    POOL_SUBJECT,
    TARGET,
    external_account_file,
    impersonation_url,
    leading,
)
from tests.emulators.service import Call, Reply, Service

AWS_SOURCE = {
    "environment_id": "aws1",
    "region_url": "http://169.254.169.254/latest/meta-data/placement/availability-zone",
    "url": "http://169.254.169.254/latest/meta-data/iam/security-credentials",
    "regional_cred_verification_url": "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15",
}
FILE: dict[str, Any] = {"file": "/token"}


class Near(Service):
    """A service on this machine that gives a token to who says the right header, as Azure's metadata service does."""

    def __init__(self, said: Any) -> None:
        super().__init__()
        self.said = said

    def answer(self, call: Call) -> Reply:
        good = (call.method, call.headers.get("metadata")) == ("GET", "True")
        return Reply(200, self.said) if good else Reply(400, b"canary-7f3a")


def test_a_token_in_a_file(tokens, with_file) -> None:
    grant = federated(external_account_file(FILE), with_file({}, token=tokens.directory.subject_token() + "\n"))
    assert tokens.directory.principal(grant.token.reveal(), CLOUD) == POOL_SUBJECT
    assert 3590 < grant.ends - time.time() <= 3601
    (call,) = tokens.calls
    assert (call.form["audience"], call.form["scope"]) == (AUDIENCE, CLOUD)


def test_a_token_in_a_file_of_json(tokens, with_file) -> None:
    form = {"type": "json", "subject_token_field_name": "access_token"}
    here = with_file({}, token=json.dumps({"access_token": tokens.directory.subject_token()}))
    assert federated(external_account_file(FILE | {"format": form}), here).ends


def test_an_account_is_impersonated_with_the_end_that_iam_says(tokens, with_file) -> None:
    info = external_account_file(
        FILE,
        service_account_impersonation_url=impersonation_url(),
        service_account_impersonation={"token_lifetime_seconds": 900},
    )
    grant = federated(info, with_file({}, token=tokens.directory.subject_token()))
    assert tokens.directory.principal(grant.token.reveal(), CLOUD) == TARGET
    assert 890 < grant.ends - time.time() <= 900
    assert len(tokens.calls) == 2
    assert account_of(info) == TARGET
    assert account_of(external_account_file(FILE)) is None


@pytest.mark.parametrize(
    ("said", "form"),
    [
        ("text", None),
        ("json", {"type": "json", "subject_token_field_name": "access_token"}),
    ],
)
def test_a_token_that_is_asked_for(tokens, with_file, said, form) -> None:
    token = tokens.directory.subject_token()
    with Near({"access_token": token} if said == "json" else token.encode()) as near:
        source = {"url": f"{near.url}/token?x=1", "headers": {"Metadata": "True"}} | ({"format": form} if form else {})
        assert federated(external_account_file(source), with_file({})).ends
        assert near.calls[0].target == "/token?x=1"


def test_who_refuses_a_token_is_told_by_the_status(with_file) -> None:
    with Near(b"") as near, pytest.raises(SourceFailed, match="gave no token: status 400") as caught:
        federated(external_account_file({"url": near.url}), with_file({}))
    assert "canary" not in caught.value.reason


@pytest.mark.parametrize(
    "environ",
    [
        {"AWS_ACCESS_KEY_ID": "ASIAGOOGLE", "AWS_SECRET_ACCESS_KEY": "aws-secret-canary", "AWS_REGION": "eu-west-1"},
        {"AWS_ACCESS_KEY_ID": "ASIAGOOGLE", "AWS_SECRET_ACCESS_KEY": "aws-secret-canary"},
    ],
)
def test_keys_of_aws(tokens, with_file, environ) -> None:
    here = with_file({}, environ | {"AWS_SESSION_TOKEN": "aws-session-canary"})
    grant = federated(external_account_file(AWS_SOURCE, subject_token_type=AWS_TYPE), here)
    assert tokens.directory.principal(grant.token.reveal()) == POOL_SUBJECT


def test_keys_of_a_pod_of_aws(tokens, with_file) -> None:
    """Pod Identity, which google-auth's own source of AWS keys does not know."""
    keys = tokens.directory.aws
    answer = {"AccessKeyId": keys.access_key_id, "SecretAccessKey": keys.secret_access_key}
    answer |= {"Token": str(keys.session_token), "Expiration": "2099-01-01T00:00:00Z"}

    class Endpoint(Service):
        def answer(self, call: Call) -> Reply:
            return Reply(200, answer)

    with Endpoint() as endpoint:
        here = with_file({}, {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{endpoint.url}/v1/credentials"})
        assert federated(external_account_file(AWS_SOURCE, subject_token_type=AWS_TYPE), here).ends


def test_no_keys_of_aws(tokens, with_file) -> None:
    with pytest.raises(
        SourceFailed, match=r"wants an identity of AWS: .*AWS workload identity not available on generic"
    ):
        federated(external_account_file(AWS_SOURCE, subject_token_type=AWS_TYPE), with_file({}))
    assert not tokens.calls


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"credential_source": {"executable": {"command": "/bin/canary"}}}, "wants a program to be run, and none is"),
        ({"credential_source": FILE | {"executable": {}}}, "wants a program to be run, and none is"),
        ({"credential_source": {"certificate": {"use_default_certificate_config": True}}}, "none of file, url and AWS"),
        ({"credential_source": {}}, "none of file, url and AWS"),
        ({"credential_source": {"file": "/token", "url": "http://127.0.0.1/"}}, "none of file, url and AWS"),
        ({"credential_source": {"file": 7}}, "none of file, url and AWS"),
        ({"credential_source": None}, "has no credential_source"),
        ({"credential_source": {"file": "/nowhere"}}, "which the external_account file names, cannot be read"),
        ({"credential_source": {"file": "/empty"}}, "the file with the token holds none"),
        ({"credential_source": FILE | {"format": {"type": "json"}}}, "no JSON with the field"),
        (
            {"credential_source": FILE | {"format": {"type": "json", "subject_token_field_name": "x"}}},
            "no JSON with the field",
        ),
        ({"credential_source": {"url": "http://corp.example/token"}}, "asked in clear text only of an address of this"),
        ({"credential_source": {"url": "http://10.0.0.7/token"}}, "asked in clear text only of an address of this"),
        ({"credential_source": {"url": "ftp://127.0.0.1/"}}, "no URL of http"),
        ({"credential_source": {"url": "http://127.0.0.1:1/", "headers": ["x"]}}, "are no mapping"),
        ({"universe_domain": "attacker.example"}, "universe_domain is another than"),
        ({"token_url": "https://attacker.example/v1/token"}, "none of Google's token services"),
        ({"token_url": 7}, "Google's|cannot be used"),
        ({"service_account_impersonation_url": "https://attacker.example/x"}, "no address of Google IAM"),
        ({"workforce_pool_user_project": "p"}, "cannot be used: InvalidValue"),
        ({"audience": "//iam.googleapis.com/others"}, "Google STS refused: invalid_target"),
        ({"subject_token_type": "urn:x"}, "Google STS refused: invalid_request"),
        (
            {"service_account_impersonation_url": impersonation_url("x@y.iam.gserviceaccount.com")},
            "Google IAM refused: PERMISSION_DENIED",
        ),
    ],
)
def test_a_file_that_leads_to_no_token(tokens, with_file, changed, reason) -> None:
    here = with_file({}, token=tokens.directory.subject_token(), empty="")
    with pytest.raises(SourceFailed, match=reason) as caught:
        federated(external_account_file(FILE, **changed), here)
    assert "canary" not in caught.value.reason


def test_the_token_goes_to_nobody_else(tokens, with_file) -> None:
    """S7: neither a wrong address, nor a wrong one of the second step, is sent anything."""
    here = with_file({}, token=tokens.directory.subject_token())
    for changed in (
        {"token_url": "https://www.googleapis.com/upload/storage/v1/b/x/o"},
        {"service_account_impersonation_url": "https://iamcredentials.googleapis.com/v1/projects/-/x"},
    ):
        with pytest.raises(SourceFailed):
            federated(external_account_file(FILE, **changed), here)
    assert not tokens.calls


@pytest.mark.parametrize("fault", ["slow", "garbage", "refuse", "broken"])
def test_faults_are_told_within_the_time(tokens, with_file, tmp_path, fault) -> None:
    """F2"""
    tokens.fault = fault
    here = with_file({}, token=tokens.directory.subject_token())
    object.__setattr__(here, "outbound", leading(tmp_path, tokens, time_limit=0.5))
    started = time.monotonic()
    with pytest.raises(SourceFailed) as caught:
        federated(external_account_file(FILE), here)
    assert time.monotonic() - started < 1.5
    assert len(tokens.calls) == 1
    assert "canary" not in caught.value.reason


def test_a_source_that_is_silent_leaves_time_for_nothing(with_file, tmp_path, tokens) -> None:
    with Near(b"") as near:
        near.fault = "slow"
        here = with_file({})
        object.__setattr__(here, "outbound", leading(tmp_path, tokens, time_limit=0.5))
        started = time.monotonic()
        with pytest.raises(SourceFailed, match="did not answer within"):
            federated(external_account_file({"url": near.url}), here)
    assert time.monotonic() - started < 1.5
    assert not tokens.calls
