"""Takes every client spelling of authentication out of a request, and leaves every other byte as it is."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import product
from urllib.parse import unquote, unquote_to_bytes

from llmauth.authenticators.aws_iam.presigned import MARK as PRESIGNED
from llmauth.authenticators.presented import parameter
from llmauth.authenticators.tokens import FORM
from llmauth.http import Headers
from llmauth.secrets import Secret
from llmauth.storage.key_text import PREFIX

_NAMES = (
    "authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "ocp-apim-subscription-key",
    "x-totp-code",
    "x-session-token",
    "sec-websocket-protocol",  # where browsers put a key; a WebSocket gets back the items that are none
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-content-sha256",
    "x-amz-region-set",
    "x-content-sha256",  # Oracle's signature
    "opc-obo-token",  # a token of the user on whose behalf an Oracle service calls
    # What a load balancer that has logged a person in adds: tokens of ours, not the provider's.
    "x-amzn-oidc-accesstoken",
    "x-amzn-oidc-data",
    "x-amzn-oidc-identity",
    "x-forwarded-client-cert",  # what a mesh's sidecar adds: who the client is inside, and its certificate
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
_DATE = frozenset({b"date", b"x-date"})
_SIGNATURES = (b"AWS", b"SIGNATURE ")

# Of a key or a placeholder token that was sent as a parameter, whole.
_OURS = (PREFIX, FORM, PRESIGNED)
_MARK, _TOKEN, _PROOF = (one.encode("ascii") for one in _OURS)
_KEY = re.compile(rb"llmauth_[0-9A-Za-z]{10}(?:[0-9A-Za-z]{2})?_")  # a session's id is the longer one
_KEY_IN_URL = re.compile(_KEY.pattern.decode("ascii"))
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

# Keys without a form of ours, which only their texts can tell, by who takes them; as good as always there are none.
_foreign: dict[object, tuple[Secret, ...]] = {}


def strip_also(owner: object, keys: Iterable[Secret]) -> None:
    """From now on these are keys of ours too in every head, as long as their owner takes them."""
    _foreign[owner] = tuple(keys)


def strip_no_longer(owner: object) -> None:
    """The owner takes them no longer."""
    _foreign.pop(owner, None)


def holds_foreign(text: bytes) -> bool:
    """Whether a key that was imported stands in this text, plain or percent-encoded."""
    if not _foreign:
        return False
    plain = unquote_to_bytes(text) if b"%" in text else text
    texts = [key.reveal().encode("utf-8", "surrogatepass") for keys in _foreign.values() for key in keys]
    return any(one in text or one in plain for one in texts)


def _holds_foreign(text: str) -> bool:
    return bool(_foreign) and holds_foreign(text.encode("utf-8", "surrogateescape"))


def credential_names(headers: Headers, path: str) -> set[bytes]:
    """The lower-case names to cut: all of CREDENTIAL_HEADERS, every `Proxy-…`, and `Date` beside a signature.

    And whatever holds a key or a placeholder token of ours, though nobody reads it there: what is in a cookie, or in a
    field that some proxy made of another, must not reach a provider either.
    """
    index = headers.index()
    names = {name for name in index if name in CREDENTIAL_HEADERS or name.startswith(_PROXY)}
    # Counted, and not looked for field by field: that takes three times as long, and every request pays for it.
    if _marks(headers.values()) > sum([_marks(value) for name in names for value in index[name]]):
        names.update([name for name, values in index.items() if any(map(_holds_ours, values))])
    if _foreign and holds_foreign(headers.values()):
        names.update([name for name, values in index.items() if any(map(holds_foreign, values))])
    if (b"date" in index or b"x-date" in index) and (_is_signed(index.get(b"authorization")) or _is_presigned(path)):
        names |= _DATE
    return names


def _marks(text: bytes) -> int:
    return text.count(_MARK) + text.count(_TOKEN) + text.count(_PROOF)


def _holds_ours(value: bytes) -> bool:
    return _TOKEN in value or _PROOF in value or _KEY.search(value) is not None


def is_in_url(text: str) -> bool:
    """Whether a key or a placeholder token of ours stands in this part of a URL, plain or percent-encoded."""
    plain = unquote(text) if "%" in text else text
    if FORM in plain or PRESIGNED in plain:
        return True
    return (PREFIX in plain and _KEY_IN_URL.search(plain) is not None) or _holds_foreign(text)


def strip_query(path: str) -> str:
    """The path without the parameters that hold a credential of ours, and without those of a presigned AWS URL.

    Ours are known by their form, as authentication knows them, and whatever the parameter is called: a key that was
    put in the wrong place must not reach a provider either. What is left keeps every byte.
    """
    return _strip_query(path) if "?" in path else path


def _is_signed(values: list[bytes] | None) -> bool:
    return values is not None and any(value.lstrip().upper().startswith(_SIGNATURES) for value in values)


def _is_presigned(path: str) -> bool:
    parameters = path.partition("?")[2].split("&")
    return any(parameter(each)[0].lower() in _PRESIGNED for each in parameters)


def _strip_query(path: str) -> str:
    route, _, query = path.partition("?")
    # A quick look first: most queries hold none of these, and then no parameter is taken apart.
    plain = unquote(query) if "%" in query else query
    if not any(mark in plain for mark in _OURS) and "x-amz-" not in plain.lower() and not _holds_foreign(query):
        return path
    parameters = query.split("&")
    kept = [each for each in parameters if not _is_credential(each)]
    if len(kept) == len(parameters):
        return path
    return f"{route}?{'&'.join(kept)}" if kept else route


def _is_credential(text: str) -> bool:
    name, value = parameter(text)
    # A parameter without `=` is all value.
    return value.startswith(_OURS) or name.startswith(_OURS) or name.lower() in _PRESIGNED or is_in_url(text)
