"""The verifier against AWS's own worked example and two independent signers; everything tampered with is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest
import requests
from requests_aws4auth import AWS4Auth

from llmauth.demo.http1 import Parser, Request
from llmauth.demo.sigv4 import Keys, Rejected, canonical_path, canonical_query, signature, verify

KEYS = Keys(
    access_key_id="AKIDEXAMPLE", secret_access_key="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", session_token=None
)
HOST = "bedrock-runtime.us-east-1.amazonaws.com"
ARN = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc"
TARGETS = [
    "/model/anthropic.claude-3-sonnet-20240229-v1:0/converse",
    "/model/anthropic.claude-3-sonnet-20240229-v1%3A0/converse",
    f"/model/{quote(ARN, safe='')}/invoke",
    "/foundation-models?byProvider=Meta&byOutputModality=TEXT",
    "/echo/a%20b/c~d?z=1&a=%2F&a=%20",
    "/",
]


def now() -> float:
    return datetime.now(UTC).timestamp()


def parsed(method: str, target: str, headers: dict[str, str], body: bytes = b"") -> Request:
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    parser = Parser()
    parser.feed("\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body)
    request = parser.next_request()
    assert request is not None
    return request


def by_botocore(method: str, target: str, body: bytes = b"", keys: Keys = KEYS, **headers: str) -> dict[str, str]:
    credentials = botocore.credentials.Credentials(keys.access_key_id, keys.secret_access_key, keys.session_token)
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    request = botocore.awsrequest.AWSRequest(method, f"https://{HOST}{target}", fields, body)
    botocore.auth.SigV4Auth(credentials, "bedrock", "us-east-1").add_auth(request)
    return {"Host": HOST, **dict(request.headers.items())}


def by_aws4auth(method: str, target: str, body: bytes = b"") -> dict[str, str]:
    signer = AWS4Auth(KEYS.access_key_id, KEYS.secret_access_key, "us-east-1", "bedrock")
    prepared = requests.Request(method, f"https://{HOST}{target}", data=body, auth=signer).prepare()
    return {"Host": HOST, **{name: str(value) for name, value in prepared.headers.items() if name != "Content-Length"}}


def check(request: Request, keys: Keys = KEYS, **changes: Any) -> None:
    verify(request, keys, **{"region": "us-east-1", "service": "bedrock", "now": now(), **changes})


def rejected(request: Request, **changes: Any) -> str:
    with pytest.raises(Rejected) as caught:
        check(request, **changes)
    return caught.value.error


def test_the_worked_example_of_the_documentation() -> None:
    """AWS's example of a signed GET to IAM: the signature it arrives at is the one computed here."""
    canonical = "\n".join(
        [
            "GET",
            "/",
            "Action=ListUsers&Version=2010-05-08",
            "content-type:application/x-www-form-urlencoded; charset=utf-8",
            "host:iam.amazonaws.com",
            "x-amz-date:20150830T123600Z",
            "",
            "content-type;host;x-amz-date",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ]
    )
    scope = "20150830/us-east-1/iam/aws4_request"
    found = signature("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", scope, "20150830T123600Z", canonical)
    assert found == "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("body", [b"", b'{"a":1}'])
def test_accepts_what_botocore_signs(target: str, body: bytes) -> None:
    check(parsed("POST", target, by_botocore("POST", target, body, content_type="application/json"), body))


@pytest.mark.parametrize("target", TARGETS[:4])
def test_accepts_what_requests_aws4auth_signs(target: str) -> None:
    check(parsed("POST", target, by_aws4auth("POST", target, b"{}"), b"{}"))


def test_accepts_a_session_token_that_is_signed() -> None:
    keys = Keys(access_key_id="ASIAX", secret_access_key="secret", session_token="token")
    check(parsed("GET", "/", by_botocore("GET", "/", keys=keys)), keys)


@pytest.mark.parametrize(
    ("keys", "error"),
    [
        (
            Keys(access_key_id="AKIDOTHER", secret_access_key=KEYS.secret_access_key, session_token=None),
            "UnrecognizedClientException",
        ),
        (Keys(access_key_id="AKIDEXAMPLE", secret_access_key="other", session_token=None), "InvalidSignatureException"),
        (
            Keys(access_key_id="AKIDEXAMPLE", secret_access_key=KEYS.secret_access_key, session_token="t"),
            "UnrecognizedClientException",
        ),
    ],
)
def test_refuses_other_keys(keys: Keys, error: str) -> None:
    assert rejected(parsed("GET", "/", by_botocore("GET", "/")), keys=keys) == error


@pytest.mark.parametrize("changes", [{"region": "eu-west-1"}, {"service": "bedrock-mantle"}, {"now": 0.0}])
def test_refuses_another_region_service_or_time(changes: dict[str, Any]) -> None:
    assert rejected(parsed("GET", "/", by_botocore("GET", "/")), **changes) == "InvalidSignatureException"


@pytest.mark.parametrize("skew", [-16 * 60, 16 * 60])
def test_refuses_after_and_before_fifteen_minutes(skew: int) -> None:
    request = parsed("GET", "/", by_botocore("GET", "/"))
    check(request, now=now() + skew * 14 / 16)
    assert rejected(request, now=now() + skew) == "InvalidSignatureException"


@pytest.mark.parametrize(
    ("target", "method", "body"),
    [
        ("/model/a%3Ab/invoke", "PUT", b"{}"),
        ("/model/a:b/invoke", "POST", b"{}"),
        ("/model/a%3Ab/invoke?x", "POST", b"{}"),
        ("/model/a%3Ab/invoke", "POST", b"{ }"),
    ],
)
def test_refuses_what_was_changed_after_signing(target: str, method: str, body: bytes) -> None:
    headers = by_botocore("POST", "/model/a%3Ab/invoke", b"{}", content_type="application/json")
    assert rejected(parsed(method, target, headers, body)) == "InvalidSignatureException"


def test_refuses_a_changed_header_and_an_unsigned_one() -> None:
    headers = by_botocore("GET", "/", content_type="a/b")
    assert rejected(parsed("GET", "/", {**headers, "content-type": "a/c"})) == "InvalidSignatureException"
    assert rejected(parsed("GET", "/", {**headers, "X-Amz-Target": "x"})) == "InvalidSignatureException"
    check(parsed("GET", "/", {**headers, "X-Amzn-Trace-Id": "x", "User-Agent": "y"}))


def test_refuses_a_hash_that_is_not_the_bodys() -> None:
    wrong = by_botocore("POST", "/", b"{}", x_amz_content_sha256="0" * 64)
    assert rejected(parsed("POST", "/", wrong, b"{}")) == "InvalidSignatureException"
    unsigned = by_botocore("POST", "/", b"{}", x_amz_content_sha256="UNSIGNED-PAYLOAD")
    assert rejected(parsed("POST", "/", unsigned, b"{}")) == "InvalidSignatureException"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"Authorization": None}, "MissingAuthenticationTokenException"),
        ({"Authorization": "AWS4-HMAC-SHA256 Credential=x"}, "IncompleteSignatureException"),
        ({"Authorization": "AWS4-ECDSA-P256-SHA256 x"}, "IncompleteSignatureException"),
        ({"X-Amz-Date": None}, "IncompleteSignatureException"),
        ({"X-Amz-Date": "yesterday"}, "IncompleteSignatureException"),
        ({"X-Amz-Date": "20200101T000000Z"}, "InvalidSignatureException"),
    ],
)
def test_refuses_what_is_incomplete(changes: dict[str, str | None], error: str) -> None:
    headers = {**by_botocore("GET", "/"), **changes}
    assert rejected(parsed("GET", "/", {name: value for name, value in headers.items() if value is not None})) == error


@pytest.mark.parametrize("names", ["x-amz-date;host", "x-amz-date", "host;host;x-amz-date"])
def test_refuses_odd_lists_of_signed_headers(names: str) -> None:
    headers = by_botocore("GET", "/")
    headers["Authorization"] = headers["Authorization"].replace("host;x-amz-date", names)
    assert rejected(parsed("GET", "/", headers)) in ("IncompleteSignatureException", "InvalidSignatureException")


@pytest.mark.parametrize(
    ("wire", "canonical"),
    [
        ("/model/x%3A0/invoke", "/model/x%253A0/invoke"),
        ("/model/x:0/invoke", "/model/x%3A0/invoke"),
        ("/model/a%2Fb", "/model/a%252Fb"),
        ("/a//b/./c/../d/", "/a/b/d/"),
        ("/", "/"),
    ],
)
def test_paths_are_encoded_once_more(wire: str, canonical: str) -> None:
    assert canonical_path(wire) == canonical


@pytest.mark.parametrize(
    ("wire", "canonical"), [("", ""), ("b=2&a=1&a=0", "a=0&a=1&b=2"), ("x", "x="), ("a=%2f", "a=%2F")]
)
def test_queries_are_sorted_and_encoded(wire: str, canonical: str) -> None:
    assert canonical_query(wire) == canonical
