"""The emulated STS, held to AWS's own library, and to what it has to refuse."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.clients.sdks import Sdks
from tests.emulators.sts import Role, Sts
from tests.llmauth.demo.clients import ClientProblem, cloud_interpreter

POD, GUEST = "arn:aws:iam::123456789012:role/pod", "arn:aws:iam::210987654321:role/guest"
SUBJECT = "system:serviceaccount:llm:proxy"

CALLS = """
sts = boto3.client("sts", region_name=region)
if on_top:
    keys = sts.assume_role(**on_top)["Credentials"]
    sts = boto3.client("sts", region_name=region, aws_access_key_id=keys["AccessKeyId"],
                       aws_secret_access_key=keys["SecretAccessKey"], aws_session_token=keys["SessionToken"])
result = sts.get_caller_identity()["Arn"]
"""


@pytest.fixture(scope="module")
def sdk() -> Iterator[Sdks]:
    running = Sdks(cloud_interpreter(), "boto3")
    yield running
    running.close()


@pytest.fixture
def sts() -> Iterator[Sts]:
    roles = {POD: Role(subjects=[SUBJECT]), GUEST: Role(roles=[POD], external_id="tenant-7")}
    with Sts(roles, region="eu-west-1") as running:
        yield running


@pytest.fixture
def who(sdk, sts, tmp_path):
    """Who boto3 is, with a token in a file as EKS has it, and with a role on top where one is named."""

    def ask(token: str, *, role: str = POD, region: str = "eu-west-1", **on_top: str) -> Any:
        file = tmp_path / "token"
        file.write_text(token)
        environ = {"AWS_ROLE_ARN": role, "AWS_WEB_IDENTITY_TOKEN_FILE": str(file), "AWS_ENDPOINT_URL_STS": sts.url}
        named = {"RoleArn": GUEST, "RoleSessionName": "guest", **on_top} if on_top else {}
        return sdk.run(CALLS, environ, region=region, on_top=named)

    return ask


def test_the_library_gets_keys_for_a_token_and_signs_with_them(who, sts) -> None:
    assert who(sts.token(SUBJECT)) == POD


def test_the_library_gets_a_role_on_top(who, sts) -> None:
    assert who(sts.token(SUBJECT), ExternalId="tenant-7") == GUEST


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"subject": "system:serviceaccount:llm:other"}, "AccessDenied"),
        ({"audience": "https://kubernetes.default.svc"}, "InvalidIdentityToken"),
        ({"issuer": "https://elsewhere.example"}, "InvalidIdentityToken"),
        ({"life": -1}, "ExpiredTokenException"),
    ],
)
def test_a_token_that_is_not_right_is_refused(who, sts, claims, code) -> None:
    with pytest.raises(ClientProblem, match=code):
        who(sts.token(**({"subject": SUBJECT} | claims)))


def test_a_forged_token_is_refused(who, sts) -> None:
    with pytest.raises(ClientProblem, match="InvalidIdentityToken"):
        who(sts.token(SUBJECT)[:-4] + "AAAA")


def test_a_role_that_is_not_ours_is_refused(who, sts) -> None:
    with pytest.raises(ClientProblem, match="AccessDenied"):
        who(sts.token(SUBJECT), role=GUEST)


def test_a_wrong_external_id_is_refused(who, sts) -> None:
    with pytest.raises(ClientProblem, match="AccessDenied"):
        who(sts.token(SUBJECT), ExternalId="tenant-8")


def test_a_signature_for_another_region_is_refused(who, sts) -> None:
    with pytest.raises(ClientProblem, match="SignatureDoesNotMatch"):
        who(sts.token(SUBJECT), region="eu-west-2")
