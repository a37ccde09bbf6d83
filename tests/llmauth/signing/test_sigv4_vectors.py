"""The test suite that AWS publishes: what it says of a request comes out, or it is said why it cannot."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime

import pytest

from llmauth.http import Door, Headers, Request, Url
from llmauth.secrets import AwsKeys, Secret
from llmauth.signing import sigv4
from tests.sources import ROOT

SUITE = ROOT / "tests" / "golden" / "sigv4" / "v4"
CASES = sorted(folder.name for folder in SUITE.iterdir())

RAW_PATH = "the path is signed as it stands, as S3 alone wants it; every other service has it normalised first"
NOT_OURS = {
    **dict.fromkeys(
        (
            "get-relative-relative-unnormalized",
            "get-relative-unnormalized",
            "get-slash-dot-slash-unnormalized",
            "get-slash-pointless-dot-unnormalized",
            "get-slash-unnormalized",
            "get-slashes-unnormalized",
        ),
        RAW_PATH,
    ),
    "post-sts-header-after": "the session token is put on afterwards and left unsigned; ours is always signed",
}


@dataclass(frozen=True)
class Vector:
    """One case: the request as the suite writes it, and what has to come of it."""

    request: Request
    keys: AwsKeys
    region: str
    service: str
    now: float
    canonical: str
    signature: str


def read(name: str) -> Vector:
    def text(file: str) -> str:
        return (SUITE / name / file).read_text("utf-8")

    told = json.loads(text("context.json"))
    given = told["credentials"]
    keys = AwsKeys(
        access_key_id=given["access_key_id"],
        secret_access_key=Secret(given["secret_access_key"]),
        session_token=Secret(given["token"]) if "token" in given else None,
    )
    return Vector(
        request=request(text("request.txt"), with_digest=told["sign_body"]),
        keys=keys,
        region=told["region"],
        service=told["service"],
        now=datetime.fromisoformat(told["timestamp"]).timestamp(),
        canonical=text("header-canonical-request.txt"),
        signature=text("header-signature.txt").strip(),
    )


def request(text: str, *, with_digest: bool) -> Request:
    """A request out of the lines of the suite; a folded line is unfolded, as whoever receives one has to do."""
    head, _, body = text.partition("\n\n")
    first, *lines = head.replace("\n ", " ").splitlines()
    method, _, rest = first.partition(" ")
    path = rest.rpartition(" ")[0]
    fields = [(name.encode(), value.encode()) for name, _, value in (line.partition(":") for line in lines)]
    if with_digest:  # the suite's signer puts it on by itself; ours signs it where it is there
        fields.append((b"X-Amz-Content-Sha256", hashlib.sha256(body.encode()).hexdigest().encode()))
    url = Url("https", "example.amazonaws.com", 443, path)
    return Request(method=method, url=url, headers=Headers(fields), door=Door.GATEWAY, body=body.encode())


@pytest.fixture
def every_header(monkeypatch: pytest.MonkeyPatch) -> None:
    """The suite signs whatever header is there; ours only what AWS demands. How they are written is the same."""
    monkeypatch.setattr(sigv4, "_is_signed", lambda name, values: name != b"host")


def signature(vector: Vector) -> str:
    signed = sigv4.sign(vector.request, vector.keys, region=vector.region, service=vector.service, now=vector.now)
    authorization = signed.headers.get("authorization")
    assert authorization is not None
    return authorization.rpartition("Signature=")[2]


def test_the_suite_is_whole() -> None:
    assert len(CASES) == 38
    assert set(CASES) > NOT_OURS.keys()


@pytest.mark.usefixtures("every_header")
@pytest.mark.parametrize("name", [name for name in CASES if name not in NOT_OURS])
def test_the_published_signature_comes_out(name: str) -> None:
    vector = read(name)
    assert signature(vector) == vector.signature


@pytest.mark.parametrize("name", [name for name in CASES if name not in NOT_OURS])
def test_what_aws_demands_is_enough_where_the_suite_signs_no_more(name: str) -> None:
    vector = read(name)
    signed = set(vector.canonical.splitlines()[-2].split(";"))
    demanded = {one for one in signed if one in ("host", "content-type") or one.startswith("x-amz-")}
    assert (signature(vector) == vector.signature) == (signed == demanded)


@pytest.mark.usefixtures("every_header")
@pytest.mark.parametrize(("name", "reason"), NOT_OURS.items())
def test_what_is_not_about_us_still_is_not(name: str, reason: str) -> None:
    """A reason that is none any more would hide a case that counts."""
    vector = read(name)
    assert signature(vector) != vector.signature, f"it comes out although {reason}"


@pytest.mark.usefixtures("every_header")
def test_a_token_that_is_left_unsigned_leaves_the_signature_of_its_keys() -> None:
    vector = read("post-sts-header-after")
    keys = AwsKeys(access_key_id=vector.keys.access_key_id, secret_access_key=vector.keys.secret_access_key)
    assert signature(Vector(**{**vars(vector), "keys": keys})) == vector.signature
