"""Oracle's signature: what the official SDK signs, byte for byte, and held to by the emulator's verifier."""

import base64
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from llmauth.demo import oci_signature
from llmauth.demo.http1 import Request as Received
from llmauth.demo.http1 import parse_head
from llmauth.errors import BadRequest, InternalError
from llmauth.http import Door, Headers, Request, Url
from llmauth.secrets import OciKey, Secret
from llmauth.signing import oci

GOLDEN = json.loads((Path(__file__).parent / "golden" / "oci.json").read_text())
NOW = float(GOLDEN["now"])
ARMOUR = "PRIVATE KEY-----"
PEM = f"-----BEGIN {ARMOUR}\n{GOLDEN['private_key_der']}\n-----END {ARMOUR}\n"
USER = OciKey(key_id=Secret(GOLDEN["key_id"]), private_key=Secret(PEM))
SESSION = OciKey(key_id=Secret(GOLDEN["session_key_id"]), private_key=Secret(PEM))
HOST = "inference.generativeai.us-chicago-1.oci.oraclecloud.com"


def build(method="POST", path="/20231130/actions/chat", body=b"{}", headers=((b"Content-Type", b"application/json"),)):
    return Request(
        method=method, url=Url("https", HOST, 443, path), headers=Headers(headers), door=Door.TUNNEL, body=body
    )


def received(request: Request) -> Received:
    """The request as the far end reads it."""
    lines = [
        f"{request.method} {request.url.path} HTTP/1.1".encode(),
        *(n + b": " + v for n, v in request.headers.fields),
    ]
    return Received(parse_head(b"\r\n".join(lines) + b"\r\n\r\n"), request.body)


def verify(request: Request, now: float = NOW) -> None:
    oci_signature.verify(received(request), USER.key_id.reveal(), PEM, now)


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["name"])
def test_it_is_what_the_official_sdk_signs(case):
    """Made by the `oci` package, whose version stands in the file: RSA with this padding gives the same each time."""
    host = case["url"].split("/")[2]
    headers = ((b"Content-Type", case["content_type"].encode()),) if case["content_type"] else ()
    request = Request(
        method=case["method"],
        url=Url("https", host, 443, case["path"]),
        headers=Headers(headers),
        door=Door.TUNNEL,
        body=(case["body"] or "").encode(),
    )
    signed = oci.sign(request, SESSION if case["session"] else USER, now=NOW)
    assert signed.headers.all("authorization") == [case["authorization"]]
    assert signed.headers.get("x-content-sha256") == case["x_content_sha256"]
    assert signed.headers.all("host") == [host]
    assert signed.body == request.body


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS", "POST", "PUT", "PATCH"])
def test_the_far_end_verifies_every_method(method):
    body = b"{}" if method in ("POST", "PUT", "PATCH") else b""
    verify(oci.sign(build(method, body=body), USER, now=NOW))


@settings(max_examples=40, deadline=None)
@given(
    path=st.text(st.sampled_from("abz09-._~%2F:@!$&'()*+,;=/"), max_size=30),
    query=st.text(st.sampled_from("abz09-._~%20:@!$&'()*+,;=/?"), max_size=30),
    body=st.binary(max_size=200),
)
def test_whatever_is_sent_is_what_was_signed(path, query, body):
    verify(oci.sign(build(path=f"/{path}?{query}", body=body), USER, now=NOW))


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r.altered(body=b"{ }"),
        lambda r: r.altered(url=r.url._replace(path=r.url.path + "?x=1")),
        lambda r: r.altered(url=r.url._replace(path=r.url.path + "/")),
        lambda r: r.altered(headers=Headers([*r.headers.fields, (b"Date", b"Fri, 15 Jan 2027 08:00:00 GMT")])),
        lambda r: r.altered(headers=r.headers.without(frozenset({b"x-content-sha256"}))),
        lambda r: r.altered(
            headers=Headers((n, b"x.oraclecloud.com" if n == b"Host" else v) for n, v in r.headers.fields)
        ),
    ],
    ids=["body", "query", "path", "second date", "no digest", "host"],
)
def test_whatever_is_changed_is_found_out(change):
    """Also a proof that the verifier can say no."""
    with pytest.raises(oci_signature.Rejected):
        verify(change(oci.sign(build(), USER, now=NOW)))


def test_the_date_is_the_clocks_and_the_only_one():
    signed = oci.sign(build(headers=((b"Date", b"Thu, 01 Jan 2026 00:00:00 GMT"), (b"X-Date", b"x"))), USER, now=NOW)
    assert signed.headers.all("date") == ["Fri, 15 Jan 2027 08:00:00 GMT"]
    verify(signed, NOW + 299)
    with pytest.raises(oci_signature.Rejected, match="five minutes"):
        verify(signed, NOW + 301)


def test_what_stood_in_its_places_is_gone():
    """S9: a client's own signature, whatever it signed with."""
    leftovers = (
        (b"authorization", b'Signature keyId="client"'),
        (b"X-CONTENT-SHA256", b"canary"),
        (b"Host", b"canary"),
    )
    signed = oci.sign(build(headers=((b"Content-Type", b"a/b"), *leftovers)), USER, now=NOW)
    assert "canary" not in str(signed.headers.fields)
    assert "client" not in str(signed.headers.fields)
    verify(signed)


def test_a_body_without_a_length_or_a_type_gets_both():
    signed = oci.sign(build(body=b"", headers=()), USER, now=NOW)
    assert signed.headers.all("content-length") == ["0"]
    assert signed.headers.all("content-type") == ["application/json"]
    verify(signed)


@pytest.mark.parametrize(
    "fields", [((b"Content-Type", b"a/b"), (b"content-type", b"c/d")), ((b"Content-Type", b"\xff"),)]
)
def test_a_header_that_two_could_read_in_two_ways_is_refused(fields):
    with pytest.raises(BadRequest, match="content-type"):
        oci.sign(build(headers=fields), USER, now=NOW)


def pem_of(key) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def test_a_large_key_is_slow_and_the_usual_one_is_not():
    large = OciKey(key_id=USER.key_id, private_key=Secret(pem_of(rsa.generate_private_key(65537, 3072))))
    assert oci.is_slow(large)
    assert not oci.is_slow(USER)


@pytest.mark.parametrize(
    "key",
    [
        OciKey(key_id=USER.key_id, private_key=Secret("canary-7f3a")),
        OciKey(key_id=USER.key_id, private_key=Secret(pem_of(ec.generate_private_key(ec.SECP256R1())))),
        OciKey(key_id=Secret('a"canary-7f3a'), private_key=Secret(PEM)),
        OciKey(key_id=Secret("canary-7f3a\r\nX: y"), private_key=Secret(PEM)),
    ],
    ids=["no PEM", "no RSA", "quotation mark", "line break"],
)
def test_what_cannot_sign_is_an_error_without_its_value(key):
    with pytest.raises(InternalError) as caught:
        oci.sign(build(), key, now=NOW)
    assert "canary" not in f"{caught.value} {caught.value.detail}"


def test_no_private_part_is_on_the_wire():
    signed = oci.sign(build(), USER, now=NOW)
    der = base64.b64decode(GOLDEN["private_key_der"])
    assert der[40:60] not in b"".join(b"".join(field) for field in signed.headers.fields)
    assert GOLDEN["private_key_der"][40:60] not in str(signed.headers.fields)
