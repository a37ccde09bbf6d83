"""AWS Signature Version 4 over the very bytes that will be sent: method, raw path, query, some headers, body."""

from __future__ import annotations

import time
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

from botocore.auth import SigV4Auth
from botocore.credentials import ReadOnlyCredentials

from llmauth.errors import BadRequest
from llmauth.http import Field, Request, Url
from llmauth.secrets import AwsKeys
from llmauth.signing import hosted, sendable, setting

_UNRESERVED = "-_.~"


def sign(request: Request, keys: AwsKeys, *, region: str, service: str, now: float) -> Request:
    """The request with `Host`, `X-Amz-Date`, `Authorization` and, for temporary keys, `X-Amz-Security-Token`.

    `now` is Unix time; AWS accepts about five minutes of difference. Signed are these headers, `Content-Type` and every
    further `X-Amz-…`, and no other: a hop that drops or rewrites one more would break the signature.
    """
    request = hosted(request)
    date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    added = _added(keys, date)
    payload = _payload(request, added, date)
    return setting(request, *added, (b"Authorization", _authorization(payload, keys, region, service)))


@dataclass(frozen=True, slots=True)
class _Payload:
    """What botocore's signer reads of its own AWSRequest; to build a whole one costs as much as to sign it."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes
    context: dict[str, str]
    params: None = None


def _added(keys: AwsKeys, date: str) -> list[Field]:
    fields = [(b"X-Amz-Date", date.encode("ascii"))]
    if keys.session_token is not None:
        fields.append((b"X-Amz-Security-Token", sendable(keys.session_token)))
    return fields


def _payload(request: Request, added: list[Field], date: str) -> _Payload:
    headers = _signed(request)
    headers.update((name.decode("ascii").lower(), value.decode("ascii")) for name, value in added)
    headers["host"] = request.url.authority
    return _Payload(request.method, _signed_url(request.url), headers, request.body, {"timestamp": date})


def _signed(request: Request) -> dict[str, str]:
    """What AWS wants signed of the client's own headers, by lower-case name; the values of a repeated one are joined.

    "Any x-amz-* headers that you plan to include in your request must also be added": the AWS SDK for JavaScript sends
    an `x-amz-user-agent`.
    """
    return {
        name.decode("ascii"): _ascii(name, b",".join(values))
        for name, values in request.headers.index().items()
        if _is_signed(name, values)
    }


def _is_signed(name: bytes, values: list[bytes]) -> bool:
    return name.startswith(b"x-amz-") or (name == b"content-type" and any(values))


def _ascii(name: bytes, value: bytes) -> str:
    if not value.isascii():
        raise BadRequest(
            f"The header {name.decode('ascii')} holds characters beyond ASCII.", hint="AWS signs it as text."
        )
    return value.decode("ascii")


def _authorization(payload: _Payload, keys: AwsKeys, region: str, service: str) -> bytes:
    # Not SigV4Auth.add_auth: it reads the clock itself, and logs the session token at debug level.
    secret = keys.secret_access_key.reveal()
    signer = SigV4Auth(ReadOnlyCredentials(keys.access_key_id, secret, None), service, region)
    signature = signer.signature(signer.string_to_sign(payload, signer.canonical_request(payload)), payload)
    names = signer.signed_headers(payload.headers)
    value = f"AWS4-HMAC-SHA256 Credential={signer.scope(payload)}, SignedHeaders={names}, Signature={signature}"
    return value.encode("ascii")


def _signed_url(url: Url) -> str:
    """The URL with its query as AWS canonicalises it: every name and value decoded, then encoded. The path stays raw.

    "URI-encode each parameter name and value": botocore leaves that to its caller, and a client may have sent `arn:aws`
    where botocore would have written `arn%3Aaws`. "Blank entries are skipped", says AWS's own C library of `a&&b`. The
    request itself keeps its spelling.
    """
    origin = f"{url.scheme}://{url.authority}"
    if "?" not in url.path:
        return origin + url.path
    pairs = [_canonical(pair) for pair in url.query.split("&") if pair]
    return f"{origin}{url.route_path}?{'&'.join(pairs)}"


def _canonical(pair: str) -> str:
    name, _, value = pair.partition("=")
    return f"{quote(unquote_to_bytes(name), safe=_UNRESERVED)}={quote(unquote_to_bytes(value), safe=_UNRESERVED)}"
