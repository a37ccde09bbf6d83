"""The verifier of Oracle's signature: it takes what Oracle's own signer made, and little else."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from llmauth.demo.http1 import Request, parse_head
from llmauth.demo.oci_signature import Rejected, verify

GOLDEN = json.loads((Path(__file__).parents[1] / "signing" / "golden" / "oci.json").read_text())
ARMOUR = "PRIVATE KEY-----"
PEM = f"-----BEGIN {ARMOUR}\n{GOLDEN['private_key_der']}\n-----END {ARMOUR}\n"
DATE = "Fri, 15 Jan 2027 08:00:00 GMT"
HOST = "inference.generativeai.us-chicago-1.oci.oraclecloud.com"
KEY = rsa.generate_private_key(65537, 2048)
KEY_PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
NAMES = "date (request-target) host content-length content-type x-content-sha256"
BODY = b'{"a": 1}'
DIGEST = base64.b64encode(hashlib.sha256(BODY).digest()).decode()


def request(method: str, path: str, headers: list[tuple[str, str]], body: bytes = b"") -> Request:
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "", ""]
    return Request(parse_head("\r\n".join(lines).encode("latin-1")), body)


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["name"])
def test_what_the_official_sdk_signed_is_good(case: dict[str, str]) -> None:
    body = (case["body"] or "").encode()
    headers = [("Host", case["url"].split("/")[2]), ("Date", DATE), ("Authorization", case["authorization"])]
    if case["method"] in ("POST", "PUT"):
        kind = case["content_type"] or "application/json"
        headers += [("Content-Length", str(len(body))), ("Content-Type", kind)]
        headers += [("X-Content-SHA256", case["x_content_sha256"])]
    key_id = GOLDEN["session_key_id"] if case["session"] else GOLDEN["key_id"]
    verify(request(case["method"], case["path"], headers, body), key_id, PEM, GOLDEN["now"])


def signed(names: str = NAMES, **changed: str) -> Request:
    """A request signed here by hand, over `names`, and with parts of it or of its signature changed."""
    values = {
        "date": DATE,
        "(request-target)": "post /20231130/actions/chat",
        "host": HOST,
        "content-length": str(len(BODY)),
        "content-type": "application/json",
        "x-content-sha256": DIGEST,
    }
    values |= {name: value for name, value in changed.items() if name in values}
    text = "\n".join(f"{name}: {values[name]}" for name in names.split(" ") if name in values)
    made = base64.b64encode(KEY.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())).decode()
    parts = {"algorithm": "rsa-sha256", "headers": names, "keyId": "a/b/c", "signature": made, "version": "1"}
    parts |= {name: value for name, value in changed.items() if name in parts}
    authorization = "Signature " + ",".join(f'{name}="{value}"' for name, value in parts.items() if value != "-")
    headers = [(name, value) for name, value in values.items() if name != "(request-target)"]
    return request("POST", "/20231130/actions/chat", [*headers, ("authorization", authorization)], BODY)


def test_the_request_made_by_hand_is_good() -> None:
    """So that what follows is refused for its own reason."""
    verify(signed(), "a/b/c", KEY_PEM, GOLDEN["now"])


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"keyId": "a/b/d"}, "no key of this id"),
        ({"algorithm": "hs2019"}, "another algorithm"),
        ({"version": "2"}, "another algorithm or version"),
        ({"version": "-"}, "more parameters, or fewer"),
        ({"signature": "AAAA"}, "made with another key"),
        ({"signature": "not base64"}, "made with another key"),
        ({"headers": NAMES.replace(" host", "")}, "covers"),
        ({"headers": f"{NAMES} date"}, "covers"),
        ({"headers": "date (request-target) host"}, "covers"),
        ({"date": "Fri, 15 Jan 2027 08:05:01 GMT"}, "five minutes"),
        ({"date": "Fri, 15 Jan 2027 07:54:59 GMT"}, "five minutes"),
        ({"date": "2027-01-15T08:00:00Z"}, "date is none"),
        ({"content-length": "7"}, "length is of another body"),
        ({"x-content-sha256": "AAAA"}, "digest is of another body"),
        ({"(request-target)": "post /20231130/actions/chat?x=1"}, "of another request"),
        ({"(request-target)": "POST /20231130/actions/chat"}, "of another request"),
        ({"names": f"{NAMES} x-absent"}, "0 headers x-absent"),
    ],
)
def test_everything_else_is_refused(changed: dict[str, str], reason: str) -> None:
    with pytest.raises(Rejected, match=reason):
        verify(signed(**changed), "a/b/c", KEY_PEM, GOLDEN["now"])


@pytest.mark.parametrize(
    ("authorization", "reason"),
    [
        ([], "0 headers authorization"),
        (["Signature a", "Signature b"], "2 headers authorization"),
        (["Bearer x"], "not signed"),
        (["Signature keyId=a"], "cannot be read"),
        (['Signature keyId="a",keyId="b"'], "cannot be read"),
    ],
)
def test_a_header_that_is_no_signature(authorization: list[str], reason: str) -> None:
    headers = [("Host", HOST), ("Date", DATE), *(("Authorization", each) for each in authorization)]
    with pytest.raises(Rejected, match=reason):
        verify(request("GET", "/", headers), "a/b/c", KEY_PEM, GOLDEN["now"])


def test_another_key_is_another_key() -> None:
    with pytest.raises(Rejected, match="another key"):
        verify(signed(), "a/b/c", PEM, GOLDEN["now"])
