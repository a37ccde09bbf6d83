"""The WebSocket handshake (RFC 6455): what a client must ask, what a provider must answer, and the key in between."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence

from llmauth.errors import BadRequest, UpgradeRefused
from llmauth.http import Headers, Request

SWITCHING = 101

# A browser cannot set headers on a WebSocket, so OpenAI takes the key as one of the subprotocols that are offered.
KEY_PROTOCOL = b"openai-insecure-api-key."
# No token that a server could select holds one of these unless it is a key or a placeholder token of ours, wherever a
# client put it.
OURS = (b"llmauth_", b"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImxsbWF1dGgtcGxhY2Vob2xkZXIifQ.")

PROTOCOLS = b"sec-websocket-protocol"
_KEY, _VERSION, _ACCEPT = b"sec-websocket-key", b"sec-websocket-version", b"sec-websocket-accept"
_EXTENSIONS = b"sec-websocket-extensions"
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TOKEN = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_WANTED_VERSION = b"13"
_CONNECTION = frozenset({b"upgrade", b"keep-alive"})

Index = Mapping[bytes, Sequence[bytes]]


def is_asked(headers: Headers) -> bool:
    """Whether a head that was screened asks for a WebSocket; `h2c`, which nobody takes up, is none."""
    return [value.lower() for value in headers.index().get(b"upgrade", ())] == [b"websocket"]


def names_websocket(index: Index) -> bool:
    """Whether any part of an Upgrade field names it, however the rest of the head looks."""
    return b"websocket" in tokens(index.get(b"upgrade", ()))


def check_asked(request: Request) -> None:
    """Judge a request that names WebSocket: exactly the handshake of RFC 6455, 4.1, and nothing beside it.

    Raises BadRequest, and UpgradeRefused for another version or a list of protocols to switch to.
    """
    index = request.headers.index()
    if not is_asked(request.headers):
        raise UpgradeRefused("Only 'Upgrade: websocket', alone and once, is carried here.", close=True)
    if request.method != "GET":
        raise _broken("The method of a WebSocket handshake is GET.")
    named = tokens(index.get(b"connection", ()))
    if b"upgrade" not in named or not named <= _CONNECTION:
        # What Connection names ends at this hop: it could take a part of the handshake with it.
        raise _broken("The Connection header must say 'Upgrade', and beside it at most 'keep-alive'.")
    if index.get(b"content-length", [b"0"]) != [b"0"] or b"transfer-encoding" in index:
        raise _broken("A WebSocket handshake has no body.")
    if list(index.get(_VERSION, ())) != [_WANTED_VERSION]:
        raise UpgradeRefused("Only version 13 of WebSocket is carried here.", close=True)
    if not _is_key(index.get(_KEY, ())):
        raise _broken("Sec-WebSocket-Key is not one value of 16 bytes in base64.")
    for field in index.get(PROTOCOLS, ()):
        _check_protocols(field)


def _is_key(values: Sequence[bytes]) -> bool:
    try:
        return len(values) == 1 and len(binascii.a2b_base64(values[0], strict_mode=True)) == 16
    except binascii.Error:
        return False


def _check_protocols(field: bytes) -> None:
    offered = [item.strip(b" \t") for item in field.split(b",")]
    if len(set(offered)) != len(offered) or any(not item or item.translate(None, _TOKEN) for item in offered):
        raise _broken("Sec-WebSocket-Protocol is not a list of different tokens.")


def _broken(message: str) -> BadRequest:
    return BadRequest(message, close=True)


def keys_among(field: bytes) -> list[bytes]:
    """The credentials that a client offers as subprotocols, without what marks them; right or wrong."""
    return [found for item in field.split(b",") if (found := _key_in(item.strip(b" \t"))) is not None]


def without_keys(field: bytes) -> bytes:
    """The subprotocols without those that are a credential, the others byte for byte; empty where none is left."""
    kept = [item for item in field.split(b",") if _key_in(item.strip(b" \t")) is None]
    return b",".join(kept).strip(b" \t")


def _key_in(item: bytes) -> bytes | None:
    if item[: len(KEY_PROTOCOL)].lower() == KEY_PROTOCOL:
        return item[len(KEY_PROTOCOL) :]
    for begins in OURS:
        _, found, rest = item.partition(begins)
        if found:
            return found + rest
    return None


def accept_of(key: bytes) -> bytes:
    """What a server that understood `Sec-WebSocket-Key` must answer."""
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())


def is_accepted(asked: Headers, answered: Headers) -> bool:
    """Whether a 101 is the answer to this request, as RFC 6455, 4.1, has a client judge it.

    The proof is right, nothing is selected that was not offered, and the head tells of no body.
    """
    request, answer = asked.index(), answered.index()
    keys, proofs = request.get(_KEY, ()), answer.get(_ACCEPT, ())
    return (
        is_asked(asked)
        and is_asked(answered)
        and b"upgrade" in tokens(answer.get(b"connection", ()))
        and len(keys) == len(proofs) == 1
        and hmac.compare_digest(proofs[0].strip(), accept_of(keys[0]))
        and len(answer.get(PROTOCOLS, ())) <= 1
        and _listed(answer.get(PROTOCOLS, ())) <= _listed(request.get(PROTOCOLS, ()))
        and _listed(answer.get(_EXTENSIONS, ())) <= _listed(request.get(_EXTENSIONS, ()))
        and answer.keys().isdisjoint({b"content-length", b"transfer-encoding"})
    )


def _listed(fields: Sequence[bytes]) -> set[bytes]:
    """The items of a list, without their parameters."""
    items = (item.partition(b";")[0].strip(b" \t") for field in fields for item in field.split(b","))
    return {item for item in items if item}


def tokens(fields: Sequence[bytes]) -> set[bytes]:
    """The items of a list of case-insensitive tokens."""
    return {item.strip(b" \t").lower() for field in fields for item in field.split(b",")}
