"""SigV4: published vectors, requests-aws4auth, and a verifier of our own must all agree with the bytes sent."""

import hashlib
import hmac
import logging
import time
from urllib.parse import quote, unquote

import pytest
from requests import Request as RequestsRequest
from requests_aws4auth import AWS4Auth

from llmauth.errors import BadRequest, InternalError
from llmauth.http import Door, Headers, Request, Url
from llmauth.secrets import AwsKeys, Secret
from llmauth.signing import sigv4

NOW = 1_800_000_000.0
HOST = "bedrock-runtime.us-east-1.amazonaws.com"
KEYS = AwsKeys(access_key_id="AKIDEXAMPLE", secret_access_key=Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"))
TEMPORARY = AwsKeys(
    access_key_id=KEYS.access_key_id, secret_access_key=KEYS.secret_access_key, session_token=Secret("T0ken/+=" * 100)
)
ARN = "arn%3Aaws%3Abedrock%3Aus-east-1%3A111122223333%3Aapplication-inference-profile%2Fabc123"
PATHS = [
    "/model/anthropic.claude-v2:1/converse",
    "/model/anthropic.claude-v2%3A1/converse",
    f"/model/{ARN}/converse-stream",
    "/model/arn:aws:bedrock:us-east-1:111122223333:inference-profile/abc/invoke",
    "/foundation-models?byOutputModality=TEXT&byInferenceType=ON_DEMAND&byCustomizationType=",
    "/foundation-models?b=2&a=2&a=1",
    "/model//double//slash/",
    "/model/with%20blank/invoke",
    "/inference-profiles?nextToken=a%2Bb%2F%3D&type=SYSTEM_DEFINED",
    "/",
]


def build(path, *, method="POST", body=b'{"a":1}', host=HOST, headers=()):
    fields = ((b"Host", host.encode()), (b"Content-Type", b"application/json"), *headers)
    return Request(
        method=method, url=Url("https", host, 443, path), headers=Headers(fields), door=Door.TUNNEL, body=body
    )


def signed(request, keys=TEMPORARY, *, now=NOW, service="bedrock"):
    return sigv4.sign(request, keys, region="us-east-1", service=service, now=now)


def verify(request, secret, *, service="bedrock"):
    """What the far end does, from the bytes on the wire alone; returns the names that were signed."""
    fields = dict(part.split("=", 1) for part in request.headers.get("authorization").split(" ", 1)[1].split(", "))
    names = fields["SignedHeaders"].split(";")
    path, _, query = request.url.path.partition("?")
    segments = [quote(part, safe="-_.~") for part in path.split("/") if part]
    canonical_path = "/" + "/".join(segments) + ("/" if segments and path.endswith("/") else "")
    pairs = sorted(
        tuple(quote(unquote(p), safe="-_.~") for p in pair.partition("=")[::2]) for pair in query.split("&") if pair
    )
    headers = "".join(f"{name}:{','.join(' '.join(v.split()) for v in request.headers.all(name))}\n" for name in names)
    canonical_query = "&".join("=".join(pair) for pair in pairs)
    digest = hashlib.sha256(request.body).hexdigest()
    canonical = "\n".join([request.method, canonical_path, canonical_query, headers, ";".join(names), digest])
    scope = fields["Credential"].split("/", 1)[1]
    to_sign = [
        "AWS4-HMAC-SHA256",
        request.headers.get("x-amz-date"),
        scope,
        hashlib.sha256(canonical.encode()).hexdigest(),
    ]
    key = b"AWS4" + secret.reveal().encode()
    for part in [*scope.split("/"), "\n".join(to_sign)]:
        key = hmac.digest(key, part.encode(), "sha256")
    assert scope.split("/")[1:] == ["us-east-1", service, "aws4_request"]
    assert hmac.compare_digest(key.hex(), fields["Signature"])
    return names


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("keys", [KEYS, TEMPORARY], ids=["long-lived", "temporary"])
def test_an_independent_verifier_accepts_what_is_sent(path, keys):
    request = signed(build(path), keys)
    assert request.url.path == path
    token = ["x-amz-security-token"] if keys.session_token else []
    assert verify(request, keys.secret_access_key) == ["content-type", "host", "x-amz-date", *token]


@pytest.mark.parametrize("path", PATHS)
def test_requests_aws4auth_gives_the_same_signature(path):
    ours = signed(build(path))
    prepared = RequestsRequest("POST", f"https://{HOST}/", data=ours.body).prepare()
    prepared.url = f"https://{HOST}{path}"  # as it stands on the wire: prepare() would requote it
    for name in ("host", "content-type", "x-amz-date"):
        prepared.headers[name] = ours.headers.get(name)
    AWS4Auth(
        TEMPORARY.access_key_id,
        TEMPORARY.secret_access_key.reveal(),
        "us-east-1",
        "bedrock",
        session_token=TEMPORARY.session_token.reveal(),
        date=time.strftime("%Y%m%d", time.gmtime(NOW)),
        include_hdrs=["host", "content-type", "x-amz-date", "x-amz-security-token"],
    )(prepared)
    theirs = str(prepared.headers["Authorization"])
    assert theirs.replace(" ", "") == ours.headers.get("authorization").replace(" ", "")


@pytest.mark.parametrize(
    ("method", "path", "content_type", "body", "signature"),
    [
        ("GET", "/", None, b"", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", "/", None, b"", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        (
            "GET",
            "/?Param2=value2&Param1=value1",
            None,
            b"",
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        (
            "POST",
            "/",
            b"application/x-www-form-urlencoded",
            b"Param1=value1",
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        ),
    ],
)
def test_the_published_vectors_come_out(method, path, content_type, body, signature):
    fields = [(b"Content-Type", content_type)] if content_type else []
    url = Url("https", "example.amazonaws.com", 443, path)
    request = Request(method=method, url=url, headers=Headers(fields), door=Door.GATEWAY, body=body)
    result = signed(request, KEYS, now=1440938160.0, service="service")  # 2015-08-30T12:36:00Z
    assert result.headers.get("authorization").endswith(f"Signature={signature}")


def test_every_older_value_of_what_is_set_is_gone_and_nothing_else():
    older = [
        (b"AUTHORIZATION", b"AWS4-HMAC-SHA256 dummy"),
        (b"authorization", b"Bearer second"),
        (b"x-amz-date", b"19700101T000000Z"),
        (b"X-Amz-Security-Token", b"dummy"),
        (b"HOST", b"elsewhere.example"),
        (b"User-Agent", b"Boto3"),
        (b"X-Amz-Content-Sha256", b"kept"),
    ]
    request = signed(build("/model/x/converse", headers=older))
    for name in ("authorization", "x-amz-date", "x-amz-security-token", "host"):
        assert len(request.headers.all(name)) == 1, name
    assert request.headers.get("host") == HOST
    assert (request.headers.get("user-agent"), request.headers.get("x-amz-content-sha256")) == ("Boto3", "kept")
    assert verify(request, TEMPORARY.secret_access_key)


def test_a_port_that_is_not_the_schemes_own_is_part_of_the_signed_host():
    request = build("/model/x/converse")
    request = Request(method="POST", url=Url("https", HOST, 8443, "/a"), headers=request.headers, door=Door.GATEWAY)
    result = signed(request)
    assert result.headers.get("host") == f"{HOST}:8443"
    assert verify(result, TEMPORARY.secret_access_key)


def test_a_canonical_querythat_the_client_left_unencoded_is_signed_as_aws_reads_it():
    request = signed(build("/inference-profiles?arn=arn:aws:bedrock/x,y&flag"))
    assert request.url.path == "/inference-profiles?arn=arn:aws:bedrock/x,y&flag"
    assert verify(request, TEMPORARY.secret_access_key)


@pytest.mark.parametrize("change", ["body", "method", "path", "content-type"])
def test_any_change_after_signing_breaks_the_signature(change):
    request = signed(build("/model/x/converse"))
    fields = [
        (n, b"text/plain" if change == "content-type" and n == b"Content-Type" else v)
        for n, v in request.headers.fields
    ]
    altered = Request(
        method="PUT" if change == "method" else request.method,
        url=Url("https", HOST, 443, "/model/y/converse") if change == "path" else request.url,
        headers=Headers(fields),
        door=request.door,
        body=request.body + b" " if change == "body" else request.body,
    )
    with pytest.raises(AssertionError):
        verify(altered, TEMPORARY.secret_access_key)


def test_two_content_types_are_signed_as_they_are_sent():
    request = signed(build("/model/x/invoke", headers=[(b"content-type", b"text/plain;  charset=utf-8")]))
    assert verify(request, TEMPORARY.secret_access_key)


def test_every_further_amz_header_is_signed_as_aws_asks():
    """The AWS SDK for JavaScript sends one; a repeated one counts as its values, joined."""
    further = [
        (b"x-amz-user-agent", b"aws-sdk-js/3.1  lang/js"),
        (b"X-Amz-Meta", b"one"),
        (b"x-amz-meta", b"two,  three"),
        (b"x-amz-empty", b""),
        (b"x-amzn-trace-id", b"Root=1"),
        (b"amz-sdk-request", b"attempt=1"),
    ]
    names = verify(signed(build("/model/x/invoke", headers=further)), TEMPORARY.secret_access_key)
    set_by_us = ["content-type", "host", "x-amz-date", "x-amz-security-token"]
    assert names == sorted([*set_by_us, "x-amz-empty", "x-amz-meta", "x-amz-user-agent"])


@pytest.mark.parametrize("name", [b"content-type", b"x-amz-meta"])
def test_a_signed_header_beyond_ascii_is_the_callers_fault(name):
    with pytest.raises(BadRequest, match=name.decode()):
        signed(build("/model/x/invoke", headers=[(name, b"text/\xff")]))


def test_a_session_token_with_a_line_break_is_refused_without_being_shown():
    keys = AwsKeys(access_key_id="A", secret_access_key=Secret("s"), session_token=Secret("tok\r\nX-Evil: 1"))
    with pytest.raises(InternalError) as caught:
        signed(build("/model/x/invoke"), keys)
    assert "tok" not in f"{caught.value.sentence} {caught.value.detail}"


def test_signing_logs_nothing_at_debug_level(caplog):
    """R1: botocore's own add_auth writes the session token into its debug log."""
    with caplog.at_level(logging.DEBUG):
        signed(build("/model/x/converse"))
    assert TEMPORARY.session_token.reveal() not in caplog.text
    assert KEYS.secret_access_key.reveal() not in caplog.text
