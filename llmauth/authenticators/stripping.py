"""Takes every client spelling of authentication out of a request, and leaves every other byte as it is."""

from __future__ import annotations

from itertools import product

from llmauth.authenticators.presented import parameter
from llmauth.http import Headers
from llmauth.storage.key_text import PREFIX

_NAMES = (
    "authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "ocp-apim-subscription-key",
    "x-totp-code",
    "x-session-token",
    "sec-websocket-protocol",  # where browsers put a key; no upgrade is carried, so it is nothing else
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-content-sha256",
    "x-amz-region-set",
    # What a load balancer that has logged a person in adds: tokens of ours, not the provider's.
    "x-amzn-oidc-accesstoken",
    "x-amzn-oidc-data",
    "x-amzn-oidc-identity",
)


def _spellings(name: str) -> set[bytes]:
    """The name with `-` or `_` in every place: some servers read `x_api_key` as `X-Api-Key`."""
    parts = name.split("-")
    return {
        "".join(part + mark for part, mark in zip(parts, (*marks, ""), strict=True)).encode("ascii")
        for marks in product("-_", repeat=len(parts) - 1)
    }


CREDENTIAL_HEADERS = frozenset[bytes]().union(*map(_spellings, _NAMES))
_PROXY = (b"proxy-", b"proxy_")
_DATE = frozenset({b"date"})

_PRESIGNED = frozenset(
    f"x-amz-{name}"
    for name in (
        "algorithm",
        "credential",
        "date",
        "expires",
        "signedheaders",
        "signature",
        "security-token",
        "region-set",
    )
)


def credential_names(headers: Headers, path: str) -> set[bytes]:
    """The lower-case names to cut: all of CREDENTIAL_HEADERS, every `Proxy-…`, and `Date` beside an AWS signature."""
    index = headers.index()
    names = {name for name in index if name in CREDENTIAL_HEADERS or name.startswith(_PROXY)}
    if b"date" in index and (_is_signed(index.get(b"authorization")) or _is_presigned(path)):
        names |= _DATE
    return names


def strip_query(path: str) -> str:
    """The path without a key of ours in `?key=` and without the parameters of a presigned AWS URL."""
    return _strip_query(path) if "?" in path else path


def _is_signed(values: list[bytes] | None) -> bool:
    return values is not None and any(value.lstrip().upper().startswith(b"AWS") for value in values)


def _is_presigned(path: str) -> bool:
    parameters = path.partition("?")[2].split("&")
    return any(parameter(each)[0].lower() in _PRESIGNED for each in parameters)


def _strip_query(path: str) -> str:
    route, _, query = path.partition("?")
    # A quick look first: most queries hold none of these, and then nothing is decoded.
    lowered = query.lower()
    if "%" not in query and PREFIX not in query and "x-amz-" not in lowered:
        return path
    parameters = query.split("&")
    kept = [each for each in parameters if not _is_credential(each)]
    if len(kept) == len(parameters):
        return path
    return f"{route}?{'&'.join(kept)}" if kept else route


def _is_credential(text: str) -> bool:
    name, value = parameter(text)
    return (name == "key" and value.startswith(PREFIX)) or name.lower() in _PRESIGNED
