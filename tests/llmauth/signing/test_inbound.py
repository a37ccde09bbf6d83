"""SigV4 that comes in: what botocore, requests-aws4auth and AWS's own suite signed is right, and nothing else is."""

from __future__ import annotations

import json
import random
import re
import string
import time
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from requests import Request as RequestsRequest
from requests_aws4auth import AWS4Auth

from llmauth.http import Door, Headers, Request, Url
from llmauth.secrets import AwsKeys, Secret
from llmauth.signing import sigv4
from llmauth.signing.inbound import Claimed, Mismatch, check, claimed
from tests.sources import ROOT

ACCESS = "LLMA234567ABCDEFGHIJ"
SECRET = Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
HOST = "bedrock-runtime.us-east-1.amazonaws.com"
BODY = b'{"messages":[{"role":"user","content":[{"text":"hello"}]}]}'
ARN = "arn%3Aaws%3Abedrock%3Aus-east-1%3A111122223333%3Aapplication-inference-profile%2Fabc123"
PATHS = [
    "/",
    "/model/anthropic.claude-v2:1/converse",
    "/model/anthropic.claude-v2%3A1/converse",
    f"/model/{ARN}/converse-stream",
    "/model/arn:aws:bedrock:us-east-1:111122223333:inference-profile/abc/invoke",
    "/transparent/bedrock/model/x/invoke-with-response-stream",
    "/foundation-models?byOutputModality=TEXT&byInferenceType=ON_DEMAND&byCustomizationType=",
    "/foundation-models?b=2&a=2&a=1",
    "/inference-profiles?nextToken=a%2Bb%2F%3D&type=SYSTEM_DEFINED",
    "/model/with%20blank/~tilde/",
]


def built(
    path: str = PATHS[1], *, method: str = "POST", body: bytes = BODY, more: tuple[tuple[str, str], ...] = ()
) -> Request:
    fields = (("Host", HOST), ("Content-Type", "application/json"), *more)
    headers = Headers((name.encode(), value.encode()) for name, value in fields)
    return Request(method=method, url=Url("https", HOST, 443, path), headers=headers, door=Door.TUNNEL, body=body)


def by_botocore(request: Request, *, presign: int | None = None, secret: Secret = SECRET) -> Request:
    """As an SDK signs it, at the time that it is."""
    credentials: Any = Credentials(ACCESS, secret.reveal())
    theirs: Any = AWSRequest(
        request.method,
        f"https://{HOST}{request.url.path}",
        headers={name.decode(): value.decode() for name, value in request.headers.fields},
        data=request.body,
    )
    if presign is not None:
        SigV4QueryAuth(credentials, "bedrock", "us-east-1", expires=presign).add_auth(theirs)
        path = theirs.url.removeprefix(f"https://{HOST}")
        return request.altered(url=request.url._replace(path=path))
    SigV4Auth(credentials, "bedrock", "us-east-1").add_auth(theirs)
    return request.altered(headers=Headers((n.encode(), str(v).encode()) for n, v in theirs.headers.items()))


def judge(request: Request, *, now: float | None = None, secret: Secret = SECRET) -> Claimed:
    claim = claimed(request)
    assert claim is not None
    check(claim, request, secret, sha256(request.body).hexdigest(), time.time() if now is None else now)
    return claim


def reason(request: Request, **more: Any) -> str:
    with pytest.raises(Mismatch) as raised:
        judge(request, **more)
    return raised.value.reason


def with_header(request: Request, name: str, *values: str) -> Request:
    kept = [field for field in request.headers.fields if field[0].lower() != name.lower().encode()]
    return request.altered(headers=Headers([*kept, *((name.encode(), value.encode()) for value in values)]))


def with_path(request: Request, path: str) -> Request:
    return request.altered(url=request.url._replace(path=path))


# ---- what is right -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_what_botocore_signs_is_right(path: str, method: str) -> None:
    request = by_botocore(built(path, method=method, body=BODY if method == "POST" else b""))
    claim = judge(request)
    assert (claim.access_key_id, claim.region, claim.service) == (ACCESS, "us-east-1", "bedrock")
    assert "host" in claim.signed
    assert claim.lives is None


@pytest.mark.parametrize("path", [path for path in PATHS if "?" not in path])
def test_what_botocore_presigns_is_right(path: str) -> None:
    bare = Headers([(b"Host", HOST.encode())])
    request = by_botocore(built(path, method="GET", body=b"").altered(headers=bare), presign=300)
    assert judge(request).lives == 300
    assert reason(request, secret=Secret("another")) == "signature"


@pytest.mark.parametrize("path", PATHS)
def test_what_requests_aws4auth_signs_is_right(path: str) -> None:
    prepared = RequestsRequest("POST", f"https://{HOST}/", data=BODY).prepare()
    prepared.url = f"https://{HOST}{path}"  # as it stands on the wire: prepare() would requote it
    prepared.headers["Content-Type"] = "application/json"
    AWS4Auth(ACCESS, SECRET.reveal(), "us-east-1", "bedrock")(prepared)
    headers = Headers([(b"Host", HOST.encode()), *((n.encode(), str(v).encode()) for n, v in prepared.headers.items())])
    judge(built(path).altered(headers=headers))


def test_what_we_sign_ourselves_is_right() -> None:
    keys = AwsKeys(access_key_id=ACCESS, secret_access_key=SECRET)
    judge(sigv4.sign(built(), keys, region="eu-west-1", service="bedrock", now=1.8e9), now=1.8e9)


def test_repeated_and_padded_headers_are_joined_in_their_order() -> None:
    signed = by_botocore(built(more=(("x-amz-meta", "one,two  three"),)))
    wire = with_header(signed, "X-Amz-Meta", " one", "two\t three  ")
    judge(wire)
    assert reason(with_header(signed, "X-Amz-Meta", "two three", "one")) == "signature"


SUITE = ROOT / "tests" / "golden" / "sigv4" / "v4"
# Each of these paths means one thing to S3 and another to the rest of AWS.
AMBIGUOUS = re.compile(r"/\.|//")


def vector(folder: Path) -> tuple[Request, dict[str, Any], float]:
    told = json.loads((folder / "context.json").read_text("utf-8"))
    head, _, body = (
        (folder / "header-signed-request.txt").read_text("utf-8").partition("\n\n")
        if (folder / "header-signed-request.txt").exists()
        else (folder / "request.txt").read_text("utf-8").partition("\n\n")
    )
    first, *lines = head.replace("\n ", " ").splitlines()
    method, _, rest = first.partition(" ")
    at = datetime.fromisoformat(told["timestamp"])
    fields = [(name.encode(), value.encode()) for name, _, value in (line.partition(":") for line in lines)]
    digest = sha256(body.encode()).hexdigest()
    if told["sign_body"]:
        fields.append((b"X-Amz-Content-Sha256", digest.encode()))
    signed = (folder / "header-canonical-request.txt").read_text("utf-8").splitlines()[-2]
    if not any(name.lower() == b"x-amz-date" for name, _ in fields):
        fields.append((b"X-Amz-Date", at.strftime("%Y%m%dT%H%M%SZ").encode()))
    access = told["credentials"]["access_key_id"]
    scope = f"{at:%Y%m%d}/{told['region']}/{told['service']}/aws4_request"
    signature = (folder / "header-signature.txt").read_text("utf-8").strip()
    said = f"AWS4-HMAC-SHA256 Credential={access}/{scope}, SignedHeaders={signed}, Signature={signature}"
    fields.append((b"Authorization", said.encode()))
    url = Url("https", "example.amazonaws.com", 443, rest.rpartition(" ")[0])
    return (
        Request(method=method, url=url, headers=Headers(fields), door=Door.GATEWAY, body=body.encode()),
        told,
        at.timestamp(),
    )


@pytest.mark.parametrize("name", sorted(folder.name for folder in SUITE.iterdir()))
def test_the_suite_of_aws(name: str) -> None:
    request, told, at = vector(SUITE / name)
    secret = Secret(told["credentials"]["secret_access_key"])
    if "token" in told["credentials"]:  # of temporary credentials, which we do not give out
        assert reason(with_header(request, "X-Amz-Security-Token", "t"), now=at, secret=secret) == "token"
    elif AMBIGUOUS.search(request.url.route_path):
        assert reason(request, now=at, secret=secret) == "path"
    else:
        judge(request, now=at, secret=secret)


# ---- what is wrong -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, "Bearer LLMA", "Basic eDp5", "AWS LLMA:x", "", "aws4"])
def test_what_carries_no_signature_claims_nothing(value: str | None) -> None:
    assert claimed(built() if value is None else with_header(built(), "Authorization", value)) is None


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256", "malformed"),
        ("AWS4-HMAC-SHA256", "aws4-hmac-sha256", "malformed"),
        ("aws4_request", "aws4_request ", "malformed"),
        ("aws4_request", "aws4_other", "malformed"),
        ("Signature=", "Signature=0", "malformed"),
        ("Signature=", "signature=", "malformed"),
        ("SignedHeaders=", "SignedHeaders=;", "malformed"),
        ("SignedHeaders=", "SignedHeaders=zz;", "malformed"),
        ("host;", "host;host;", "malformed"),
        ("host;", "", "unsigned"),
        ("content-type;", "", "unsigned"),
        (";x-amz-date", "", "unsigned"),
        ("us-east-1", "us-west-2", "signature"),
        ("/bedrock/", "/s3/", "signature"),
        (ACCESS, f"{ACCESS}/x", "malformed"),
    ],
)
def test_the_text_of_a_signature(old: str, new: str, wanted: str) -> None:
    request = by_botocore(built())
    said = request.headers.get("authorization")
    assert said is not None
    assert old in said
    assert reason(with_header(request, "Authorization", said.replace(old, new))) == wanted


def test_a_signature_is_there_once() -> None:
    request = by_botocore(built())
    said = request.headers.get("authorization") or ""
    assert reason(with_header(request, "Authorization", said, said)) == "doubled"
    assert reason(with_header(request, "Authorization", said, "Bearer x")) == "doubled"
    assert reason(with_header(request, "Authorization", f"{said}, {said}")) == "malformed"
    date = request.headers.get("x-amz-date") or ""
    assert reason(with_header(request, "X-Amz-Date", date, date)) == "doubled"
    assert reason(with_header(request, "X-Amz-Date")) == "date"
    assert reason(with_header(request, "Host", HOST, HOST)) == "doubled"


@pytest.mark.parametrize("skew", [-86_400, -3600, -301, 302, 900, 86_400])
def test_a_signature_of_another_time(skew: float) -> None:
    request = by_botocore(built())
    assert reason(request, now=time.time() + skew) == "expired"
    judge(request, now=time.time() + 290)
    judge(request, now=time.time() - 290)


@pytest.mark.parametrize("stamp", ["20260231T000000Z", "20261301T000000Z", "2026", "20260101T000000", "x" * 16, ""])
def test_a_date_that_is_none(stamp: str) -> None:
    request = by_botocore(built())
    said = re.sub(
        r"/\d{8}/",
        f"/{stamp[:8] if len(stamp) > 8 and stamp[0] == '2' else '20260101'}/",
        request.headers.get("authorization") or "",
    )
    assert reason(with_header(with_header(request, "Authorization", said), "X-Amz-Date", stamp)) == "date"


@pytest.mark.parametrize("told", ["UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "0" * 64, "", "é"])
def test_the_hash_of_the_body_is_that_of_the_body(told: str) -> None:
    """Signed rightly, with a header that would leave the body to anybody."""
    request = by_botocore(built(more=(("X-Amz-Content-SHA256", told),)) if told.isascii() and told else built())
    if not (told.isascii() and told):
        request = with_header(request, "X-Amz-Content-SHA256", told)
    assert reason(request) in ("payload", "unsigned")


def test_a_hash_that_is_right_is_taken_and_must_be_signed() -> None:
    digest = sha256(BODY).hexdigest()
    judge(by_botocore(built(more=(("X-Amz-Content-SHA256", digest),))))
    assert reason(with_header(by_botocore(built()), "X-Amz-Content-SHA256", digest)) == "unsigned"


def test_another_body() -> None:
    request = by_botocore(built())
    for body in (b"", BODY + b" ", BODY[:-1], BODY.replace(b"hello", b"hullo")):
        assert reason(request.altered(body=body)) == "signature"


@pytest.mark.parametrize("name", ["X-Amz-Security-Token", "x-amz-security-token"])
def test_a_session_token_is_none_of_ours(name: str) -> None:
    request = by_botocore(built(more=((name, "t"),)))
    assert reason(request) == "token"
    assert reason(with_path(by_botocore(built()), f"{PATHS[1]}?{name}=t")) == "token"


@pytest.mark.parametrize("path", ["/a//b", "/a/./b", "/a/../b", "//a", "a", "/..", "/a//"])
def test_a_path_of_two_meanings(path: str) -> None:
    assert reason(with_path(by_botocore(built("/a/b")), path)) == "path"


def presigned(expires: int = 60) -> Request:
    bare = Headers([(b"Host", HOST.encode())])
    return by_botocore(built(PATHS[1], method="GET", body=b"").altered(headers=bare), presign=expires)


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("X-Amz-Signature=", "X-Amz-Signature=0", "malformed"),
        ("X-Amz-Signature=", "x-amz-signature=", "malformed"),
        ("X-Amz-Expires=60", "X-Amz-Expires=61", "signature"),
        ("X-Amz-Expires=60", "X-Amz-Expires=0", "expired"),
        ("X-Amz-Expires=60", "X-Amz-Expires=-60", "malformed"),
        ("X-Amz-Expires=60", "X-Amz-Expires=901", "expired"),
        ("X-Amz-Expires=60", "X-Amz-Expires=99999999", "malformed"),
        ("&X-Amz-Expires=60", "", "malformed"),
        ("X-Amz-Expires=60", "X-Amz-Expires=60&X-Amz-Expires=60", "doubled"),
        ("X-Amz-Expires=60", "X-Amz-Expires=60&x-amz-expires=9", "doubled"),
        ("X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders=", "malformed"),
        ("X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-Algorithm=AWS4-ECDSA-P256-SHA256", "malformed"),
        ("&X-Amz-Expires", "&&X-Amz-Expires", "malformed"),
        ("&X-Amz-Expires", "&more=1&X-Amz-Expires", "signature"),
    ],
)
def test_a_presigned_url(old: str, new: str, wanted: str) -> None:
    request = presigned()
    assert old in request.url.path
    assert reason(with_path(request, request.url.path.replace(old, new))) == wanted


def test_a_presigned_url_ends() -> None:
    request = presigned()
    judge(request, now=time.time() + 58)
    assert reason(request, now=time.time() + 62) == "expired"
    assert reason(presigned(901)) == "expired"
    assert reason(request.altered(body=b"x")) == "signature"
    assert reason(with_header(request, "X-Amz-Meta", "x")) == "unsigned"


def test_both_ways_at_once() -> None:
    signed = by_botocore(built())
    assert reason(with_path(signed, presigned().url.path)) == "doubled"


# ---- nothing can be changed ----------------------------------------------------------------------------------------


def changed(text: str, at: random.Random) -> str:
    """The text with one character another one, gone, or more."""
    place = at.randrange(len(text))
    other = at.choice([c for c in string.ascii_lowercase + string.digits if c != text[place].lower()])
    return at.choice(
        [
            text[:place] + other + text[place + 1 :],
            text[:place] + text[place + 1 :],
            text[:place] + other + text[place:],
        ]
    )


def mutant(request: Request, at: random.Random) -> Request:
    """The request with one thing changed that AWS's rules do not call the same."""
    match at.choice(["method", "path", "query", "header", "body", "claim", "more"]):
        case "method":
            others = [m for m in ("GET", "PUT", "POST", "DELETE", "PATCH", "post") if m != request.method]
            return replace(request, method=at.choice(others))
        case "path":
            return with_path(request, "/" + changed(request.url.path[1:], at))
        case "query":
            joint = "&" if "?" in request.url.path else "?"
            return with_path(request, f"{request.url.path}{joint}{at.choice(string.ascii_lowercase)}=1")
        case "body":
            return request.altered(body=changed(request.body.decode(), at).encode())
        case "more":
            return with_header(request, f"X-Amz-{at.choice(string.ascii_letters)}{at.randrange(9)}", "1")
        case kind:
            fields = list(request.headers.fields)
            place = at.choice([i for i, (n, _) in enumerate(fields) if (n == b"Authorization") == (kind == "claim")])
            name, value = fields[place]
            fields[place] = (name, changed(value.decode(), at).encode())
            return request.altered(headers=Headers(fields))


@pytest.mark.parametrize("path", [PATHS[1], PATHS[3], PATHS[7], PATHS[8]])
def test_a_thousand_changes_are_all_refused(path: str) -> None:
    at = random.Random(path)
    more = (("X-Amz-Meta", "one"), ("X-Amz-Content-SHA256", sha256(BODY).hexdigest()))
    requests = [by_botocore(built(path)), by_botocore(built(path, more=more))]
    for request in requests:
        judge(request)
    passed = []
    for _ in range(250):
        one = mutant(at.choice(requests), at)
        try:
            claim = claimed(one)
            # No part of what is signed, but another id is another pair's, with another secret.
            if claim is not None and claim.access_key_id == ACCESS:
                check(claim, one, SECRET, sha256(one.body).hexdigest(), time.time())
                passed.append(one)
        except Mismatch:
            continue
    # A blank that was left out behind a comma is the same text to everybody.
    assert [words(one) for one in passed if words(one) not in map(words, requests)] == []


def words(request: Request) -> tuple[object, ...]:
    fields = [(name, value.replace(b" ", b"")) for name, value in request.headers.fields]
    return request.method, request.url.path, fields, request.body


@pytest.mark.parametrize("spelt", ["\x00", "é", "\ud800", "%", "%zz", "%ff", "\x7f" * 20_000, "=&=&="])
def test_odd_bytes_are_refused_and_break_nothing(spelt: str) -> None:
    raw = spelt.encode("utf-8", "surrogatepass")
    text = raw.decode("utf-8", "surrogateescape")
    request = by_botocore(built())
    for one in (
        with_path(request, f"/{text}"),
        with_path(request, f"/?{text}"),
        with_path(presigned(), presigned().url.path + text),
        request.altered(headers=Headers([*request.headers.fields, (b"x-amz-odd", raw)])),
        request.altered(headers=Headers([*request.headers.fields[:-1], (b"Authorization", b"AWS4-" + raw)])),
    ):
        reason(one)


def test_the_reason_is_no_part_of_the_request() -> None:
    assert str(Mismatch("signature")) == "signature"
    assert SECRET.reveal() not in repr(claimed(by_botocore(built())))
