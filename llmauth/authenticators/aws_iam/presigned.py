"""The token: a presigned GetCallerIdentity, made and read. Nothing but its validated parts is ever sent on."""

from __future__ import annotations

import base64
import binascii
import calendar
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, unquote

from llmauth.authenticators.aws_iam.hosts import host_of, region_of
from llmauth.authenticators.base import Reason, wrong
from llmauth.secrets import AwsKeys, Secret

MARK: Final = "llmauth-aws-v1."
HEADER: Final = "x-llmauth-server-id"
LIFETIME: Final = 900
"""Seconds; AWS takes the signature of such a request for a quarter of an hour."""
LONGEST = 4096
LONGEST_TEXT = len(MARK) + (LONGEST + 2) // 3 * 4
_SKEW = 60

_TEXT = re.compile(r"[A-Za-z0-9_-]+={0,2}")
_URL = re.compile(r"https://(?P<host>[a-z0-9.-]{1,100})/\?(?P<query>[!-~]+)")
# As SigV4 writes them: everything but the unreserved characters by two upper-case digits.
_PAIR = re.compile(r"(?P<name>[A-Za-z0-9-]{1,40})=(?P<value>(?:[A-Za-z0-9._~-]|%[0-9A-F]{2})*)")
_DATE = r"(?P<day>[0-9]{8})T[0-9]{6}Z"
_CREDENTIAL = r"(?P<key>[A-Z0-9]{16,128})/(?P<day>[0-9]{8})/(?P<region>[a-z0-9-]{1,40})/sts/aws4_request"
# sha256 of nothing, which some presigners write down.
_NO_BODY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
_PARAMETERS: Mapping[str, str] = {
    "Action": "GetCallerIdentity",
    "Version": "2011-06-15",
    "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
    "X-Amz-Credential": _CREDENTIAL,
    "X-Amz-Date": _DATE,
    "X-Amz-Expires": "[1-9][0-9]{0,2}",
    "X-Amz-SignedHeaders": f"host;{HEADER}",
    "X-Amz-Signature": "[0-9a-f]{64}",
    "X-Amz-Security-Token": "[A-Za-z0-9+/=_-]{1,4000}",
    "X-Amz-Content-Sha256": f"UNSIGNED-PAYLOAD|{_NO_BODY}",
}
_OPTIONAL = frozenset({"X-Amz-Security-Token", "X-Amz-Content-Sha256"})
_PATTERNS = {name: re.compile(pattern) for name, pattern in _PARAMETERS.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Presigned:
    """A token that may be asked about: where, with which query, and until when (Unix time) it counts."""

    host: str
    ends: float
    _query: Secret = field(repr=False)

    def target(self) -> str:
        """Path and query of our own request, written anew from the parts."""
        return f"/?{self._query.reveal()}"


def made(keys: AwsKeys, *, region: str, server_id: str) -> tuple[str, float]:
    """A token for a server, signed by botocore with these keys, and its end (Unix time).

    ValueError, a sentence, for what is no region.
    """
    from botocore.auth import SigV4QueryAuth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    token = keys.session_token.reveal() if keys.session_token else None
    credentials = Credentials(keys.access_key_id, keys.secret_access_key.reveal(), token)
    request = AWSRequest(
        "GET",
        f"https://{host_of(region)}/",
        headers={HEADER: server_id},
        params={"Action": "GetCallerIdentity", "Version": "2011-06-15"},
    )
    SigV4QueryAuth(credentials, "sts", region, expires=LIFETIME).add_auth(request)
    text = json.dumps({"url": request.url, "headers": {HEADER: server_id}}, separators=(",", ":"))
    ends = _moment(request.context["timestamp"]) + LIFETIME
    return MARK + base64.urlsafe_b64encode(text.encode("ascii")).decode("ascii").rstrip("="), ends


def read(token: str, *, server_id: str, now: float) -> Presigned:
    """The parts of a token, each as it has to be; no network. Unauthenticated for all else, with the reason."""
    told = _object(token)
    match = _URL.fullmatch(told["url"])
    if match is None:
        raise _malformed("its url is no https address of a host, the path / and a query")
    host = match["host"]
    region = region_of(host)
    if region is None:
        raise _malformed("its url leads to a host that is none of AWS STS")
    _check_headers(told["headers"], host, server_id)
    values = _parameters(match["query"])
    ends = _end(values, region, now)
    query = "&".join(f"{name}={quote(values[name], safe='-._~')}" for name in sorted(values))
    return Presigned(host=host, ends=ends, _query=Secret(query))


def _object(token: str) -> dict[str, Any]:
    text = token.removeprefix(MARK)
    if len(token) > LONGEST_TEXT or not _TEXT.fullmatch(text):
        raise _malformed("it is no base64url, or too long")
    bare = text.rstrip("=")
    try:
        raw = base64.b64decode(bare + "=" * (-len(bare) % 4), altchars=b"-_", validate=True)
        told = json.loads(raw.decode("ascii"), object_pairs_hook=_once)
    except (binascii.Error, ValueError, RecursionError):
        raise _malformed("it holds no JSON, or a member twice") from None
    if len(raw) > LONGEST or not isinstance(told, dict) or told.keys() != {"url", "headers"}:
        raise _malformed("it is not an object of url and headers, and nothing else")
    if not isinstance(told["url"], str) or not isinstance(told["headers"], dict):
        raise _malformed("its url is no text, or its headers no object")
    return told


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    held = dict(pairs)
    if len(held) != len(pairs):
        raise ValueError
    return held


def _check_headers(told: Mapping[str, Any], host: str, server_id: str) -> None:
    lower = {name.lower(): value for name, value in told.items()}
    if len(lower) != len(told) or not lower.keys() <= {"host", HEADER} or HEADER not in lower:
        raise _malformed(f"its headers are others than host and {HEADER}")
    if lower.get("host", host) != host:
        raise _malformed("its header host is another than that of its url")
    if lower[HEADER] != server_id:
        raise _refused("not_allowed", "it was signed for another server_id")


def _parameters(query: str) -> dict[str, str]:
    values: dict[str, str] = {}
    for pair in query.split("&"):
        match = _PAIR.fullmatch(pair)
        if match is None or match["name"] not in _PATTERNS or match["name"] in values:
            raise _malformed("its query holds a parameter twice, an unknown one, or one in another spelling")
        value = unquote(match["value"])  # bytes that are no UTF-8 become a character that no pattern has
        if not _PATTERNS[match["name"]].fullmatch(value):
            raise _malformed(f"its parameter {match['name']} is another than that of a presigned GetCallerIdentity")
        values[match["name"]] = value
    if not _PATTERNS.keys() - _OPTIONAL <= values.keys():
        raise _malformed("its query lacks a parameter of a presigned request")
    return values


def _end(values: Mapping[str, str], region: str, now: float) -> float:
    credential = _PATTERNS["X-Amz-Credential"].fullmatch(values["X-Amz-Credential"])
    assert credential is not None
    if credential["region"] != region or credential["day"] != values["X-Amz-Date"][:8]:
        raise _malformed("it was signed for another region or day than it names")
    try:
        begins = _moment(values["X-Amz-Date"])
    except ValueError:
        raise _malformed("its X-Amz-Date is no moment") from None
    expires = int(values["X-Amz-Expires"])
    if expires > LIFETIME:
        raise _malformed(f"its X-Amz-Expires is over {LIFETIME}")
    if begins > now + _SKEW:
        raise _refused("malformed", "its X-Amz-Date is in the future; is a clock wrong?")
    ends = begins + expires
    if ends <= now:
        raise _refused("expired", "it was signed too long ago")
    return ends


def _moment(date: str) -> float:
    return float(calendar.timegm(time.strptime(date, "%Y%m%dT%H%M%SZ")))


def _malformed(detail: str) -> Exception:
    return _refused("malformed", detail)


def _refused(reason: Reason, detail: str) -> Exception:
    return wrong(reason, f"aws_iam: {detail}")
