"""Heads as they may be shown: credentials masked, by the name of a field, by who put it there, by their form."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Sequence

from addons.redact import PLAIN, without_keys
from addons.viewing.masks import MASKED, Masks, is_secret_name
from llmauth.authenticators.stripping import credential_names, holds_foreign, strip_query
from llmauth.http import Field, Headers

# Called like a credential, and none: how one is to be asked for, and counts.
_HARMLESS = frozenset(
    {
        *(b"www-authenticate", b"proxy-authenticate", b"sec-websocket-accept", b"sec-websocket-key"),
        *(b"x-amzn-bedrock-input-token-count", b"x-amzn-bedrock-output-token-count", b":authority"),
    }
)
_OURS = b"x-llmauth-"
_ALSO = ("auth", "session", "cert", "key", "assertion")


def request_fields(fields: Sequence[Field], path: str, sent: Iterable[Field], masks: Masks) -> tuple[Field, ...]:
    """A request's fields; those that are not among the ones `sent` by the client were put on by us, and are masked."""
    names = credential_names(Headers(fields), path) - PLAIN
    known = frozenset(sent)
    return tuple([_request_field(field, names, known, masks) for field in fields])


def _request_field(field: Field, names: set[bytes], sent: frozenset[Field], masks: Masks) -> Field:
    lowered = field[0].lower()
    if lowered in names or (field not in sent and lowered not in PLAIN):
        return masks.value(field[0]), MASKED
    return _field(field, masks)


def answer_fields(fields: Iterable[Field], masks: Masks) -> tuple[Field, ...]:
    """An answer's fields."""
    return tuple([_field(field, masks) for field in fields])


def _field(field: Field, masks: Masks) -> Field:
    name, value = field
    if _is_secret(name.lower()) or holds_foreign(value):
        return masks.value(name), MASKED
    return masks.value(name), masks.value(value)


def _is_secret(lowered: bytes) -> bool:
    if lowered in PLAIN or lowered in _HARMLESS or b"ratelimit" in lowered:
        return False
    name = lowered.removeprefix(_OURS).decode("utf-8", "replace")
    return is_secret_name(name) or any(word in name for word in _ALSO)


def shown_path(path: str, masks: Masks) -> str:
    """A path and query, without the credentials in either."""
    return masks.line(without_keys(strip_query(path)))


def presented(headers: Headers, path: str) -> Iterator[bytes]:
    """What a request's credential slots hold, whole and behind a scheme, and what is within `Basic`."""
    names = credential_names(headers, path) - PLAIN
    for name, value in headers.fields:
        if name.lower() in names or _is_secret(name.lower()):
            yield value
            yield from _within(value)
    for parameter in path.partition("?")[2].split("&"):
        name_, mark, text = parameter.partition("=")
        if mark and is_secret_name(name_):
            yield text.encode("utf-8", "surrogateescape")


def _within(value: bytes) -> Iterator[bytes]:
    scheme, _, rest = value.partition(b" ")
    yield rest.strip()
    if scheme.lower() == b"basic":
        try:
            plain = binascii.a2b_base64(rest.strip())
        except binascii.Error:
            return
        yield plain.partition(b":")[2]
        yield base64.b64encode(plain)
