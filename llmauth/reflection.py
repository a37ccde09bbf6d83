"""Finds the credential that we sent in the head of an answer, and masks it: a provider may repeat what it was told."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import unquote_to_bytes

from llmauth.errors import GatewayError, UpstreamError
from llmauth.http import Field

MASKED = b"[redacted]"
# Where a credential of ours is put on a request; nothing else in it is a secret.
_SLOTS = frozenset({b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"x-amz-security-token"})
_LENGTHS = frozenset(map(len, _SLOTS))
_SIGNATURE = re.compile(rb'[Ss]ignature="?([^",\s]+)')
# Shorter ones are found in honest headers by chance; no provider's key is.
_SHORTEST = 8


def secrets_of(sent: Iterable[Field]) -> tuple[bytes, ...]:
    """What must not come back of a request as it was sent: keys, tokens, signatures; the longest first."""
    slots = [value for name, value in sent if len(name) in _LENGTHS and name.lower() in _SLOTS]
    if len(slots) == 1:
        return tuple(_parts(slots[0]))  # as nearly always; it begins with the longest
    return tuple(sorted({secret for value in slots for secret in _parts(value)}, key=len, reverse=True))


def _parts(value: bytes) -> Iterator[bytes]:
    """The whole value, and what of it is secret by itself: behind the scheme, or in a signature."""
    _, _, rest = value.partition(b" ")
    signature = _SIGNATURE.search(rest) if b"ignature" in rest else None
    for part in (value, signature[1] if signature else rest):
        if len(part) >= _SHORTEST:
            yield part


def shows(secrets: Sequence[bytes], fields: Sequence[Field], reason: bytes = b"") -> bool:
    """Whether one of them stands, as it is or percent-encoded, in a field's name or value or in the reason."""
    # In lower case, since HTTP/2 has no upper case in names; whoever is told yes looks again.
    head = b"\n".join((reason, *map(b"\n".join, fields))).lower()
    plain = _decoded(head)
    for secret in secrets:
        lowered = secret.lower()
        if lowered in head or (plain is not head and lowered in plain):
            return True
    return False


def masked(secrets: Sequence[bytes], fields: Sequence[Field]) -> tuple[Field, ...]:
    """The fields with every secret masked in their values; those that hold one in their name are left out."""
    kept = (field for field in fields if not any(secret.lower() in field[0].lower() for secret in secrets))
    return tuple((name, mask(secrets, value)) for name, value in kept)


def mask(secrets: Sequence[bytes], text: bytes) -> bytes:
    """The text with every secret masked; all of it where one stands in it percent-encoded, as in a URL."""
    for secret in secrets:
        text = text.replace(secret, MASKED)
    plain = _decoded(text)
    return MASKED if plain is not text and any(secret in plain for secret in secrets) else text


def hide(secrets: Sequence[bytes], error: GatewayError) -> GatewayError:
    """The same refusal with every secret masked in it: a codec has read what was escaped in the bytes."""
    error.message, error.hint, error.detail = (_hidden(secrets, t) for t in (error.message, error.hint, error.detail))
    error.param = None if error.param is None else _hidden(secrets, error.param)
    error.args = (error.message,)
    if isinstance(error, UpstreamError):
        error.kept = masked(secrets, error.kept)
    return error


def _hidden(secrets: Sequence[bytes], text: str) -> str:
    told = text.encode("utf-8", "surrogatepass")
    hidden = _end_masked(secrets, mask(secrets, told))
    return text if hidden == told else hidden.decode("utf-8", "replace")


def _end_masked(secrets: Sequence[bytes], text: bytes) -> bytes:
    """Long sentences are cut: what stands at the end may be the beginning of a secret."""
    for secret in secrets:
        for length in range(min(len(secret), len(text)), _SHORTEST - 1, -1):
            if text.endswith(secret[:length]):
                return text[:-length] + MASKED
    return text


def _decoded(text: bytes) -> bytes:
    return unquote_to_bytes(text) if b"%" in text else text
