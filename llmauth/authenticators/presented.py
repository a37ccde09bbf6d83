"""What a request presents, slot by slot, and the one table that decides whose request it is."""

from __future__ import annotations

import binascii
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from llmauth.authenticators.base import Presented, Slot
from llmauth.context import Identity
from llmauth.errors import BadRequest, Forbidden, Unauthenticated
from llmauth.http import Door, Request
from llmauth.storage.key_text import PREFIX
from llmauth.websocket.handshake import PROTOCOLS, is_asked, keys_among

Recognises = Callable[[Presented], bool]

_HEADER_SLOTS = {
    slot.value.encode("ascii"): slot
    for slot in (Slot.AUTHORIZATION, Slot.API_KEY, Slot.AZURE_KEY, Slot.GOOGLE_KEY, Slot.PROXY, Slot.SESSION)
}
_CONNECT_SLOTS = {Slot.PROXY.value.encode("ascii"): Slot.PROXY}
# `Authorization` carries a scheme before the value; the other headers are the value.
_WITH_SCHEME = frozenset({Slot.AUTHORIZATION, Slot.PROXY})
_SIGNATURE = "x-amz-signature"


def present(request: Request, recognises: Recognises) -> tuple[Presented, ...]:
    """Everything that stands in a credential slot of this request, in a fixed order; BadRequest for two in one slot.

    At CONNECT only the proxy slot is one. Spellings with an underscore (`x_api_key`) are no slot at all: servers
    disagree about which header they mean, so they prove nothing, and are stripped. `?key=` is a slot only for a value
    of our form; any other is the provider's own query.
    """
    index = request.headers.index()
    connect = request.door is Door.CONNECT
    found: tuple[Presented, ...] = ()
    for name, slot in (_CONNECT_SLOTS if connect else _HEADER_SLOTS).items():
        values = index.get(name)
        if values is not None:
            if len(values) > 1:
                raise _doubled(slot)
            found = (*found, Presented(slot=slot, value=_value(slot, values[0])))
    if not connect and "?" in request.url.path:
        found = (*found, *_in_query(request.url.query, recognises))
    if PROTOCOLS in index and is_asked(request.headers):
        found = (*found, *_in_subprotocols(index[PROTOCOLS]))
    return found


def raw_slots(request: Request) -> tuple[list[bytes] | None, ...] | None:
    """Every header slot's bytes, to tell that two requests present the same.

    `None` where the query or a list of subprotocols may hold more.
    """
    get = request.headers.index().get
    if "?" in request.url.path or get(PROTOCOLS) is not None:
        return None
    return tuple([get(name) for name in _HEADER_SLOTS])


def _value(slot: Slot, raw: bytes) -> str:
    text = raw.decode("utf-8", "surrogateescape").strip(" \t")
    if slot not in _WITH_SCHEME:
        return text
    scheme, _, rest = text.partition(" ")
    match scheme.lower():
        case "bearer":
            return rest.strip(" ")
        case "basic":
            password = _password(rest.strip(" "))
            if password is not None:
                return password
            # ibm-watsonx-ai writes `Basic TOKEN`, unencoded, for a token that holds no dot: a key of ours holds none.
            bare = rest.strip(" ")
            return bare if slot is Slot.AUTHORIZATION and bare.startswith(PREFIX) else text
        case _:  # `AWS4-HMAC-SHA256 …`, a token without a scheme: the whole, to be known by its form or by nobody
            return text


def _password(encoded: str) -> str | None:
    """The password of Basic, `None` when it cannot be decoded; the user name is a label for people."""
    try:
        plain = binascii.a2b_base64(encoded.encode("utf-8", "surrogateescape"), strict_mode=True)
    except binascii.Error:
        return None
    return plain.decode("utf-8", "surrogateescape").partition(":")[2]


def _in_query(query: str, recognises: Recognises) -> Iterator[Presented]:
    keys, signed = [], False
    for name, value in map(parameter, query.split("&")):
        if name == "key":
            presented = Presented(slot=Slot.QUERY_KEY, value=value)
            if recognises(presented):
                keys.append(presented)
        elif name.lower() == _SIGNATURE:
            signed = True
    if len(keys) > 1:
        raise _doubled(Slot.QUERY_KEY)
    yield from keys
    if signed:
        yield Presented(slot=Slot.PRESIGNED, value=query)


def _in_subprotocols(fields: Sequence[bytes]) -> Iterator[Presented]:
    keys = [key for field in fields for key in keys_among(field)]
    if len(fields) > 1 or len(keys) > 1:
        raise _doubled(Slot.SUBPROTOCOL)
    for key in keys:
        yield Presented(slot=Slot.SUBPROTOCOL, value=key.decode("utf-8", "surrogateescape"))


def parameter(text: str) -> tuple[str, str]:
    """Name and value of one query parameter, percent-decoded; `+` is left, as no name or value of ours has one."""
    name, _, value = text.partition("=")
    return unquote(name), unquote(value)


def _doubled(slot: Slot) -> BadRequest:
    return BadRequest(f"The request carries more than one value of '{slot}'.", hint="Send this credential once.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A slot that was judged: `identity` when it proved one, `wrong` when it is ours by its form and proved nothing.

    Neither of the two: it has no form of ours.
    """

    presented: Presented
    identity: Identity | None = None
    wrong: Unauthenticated | None = None


def decide(
    claims: Sequence[Claim], *, door: Door, tunnel: Identity | None, intercepted: bool, gateway: bool
) -> Identity | None:
    """Whose request this is; `None` only for a CONNECT, without credentials, to a host that we intercept.

    What a slot holds is one of three things:

    (a) of our form: it must be right, else 401; and where another slot holds a credential of ours too it must be the
        same one, where the tunnel gives an identity it must be the same user, else 403;
    (b) anything else, where the tunnel or another slot gives an identity: the SDK's placeholder, which proves nothing;
    (c) anything else: 401.

    Two slots know no placeholder: the session's, which is ours alone, and the proxy's where the proxy itself asks.
    `gateway` says that an absolute-form request is to a gateway host, where every slot counts. Raises Unauthenticated
    (401 or 407, by the door) and Forbidden.
    """
    proved: Claim | None = None
    at_proxy: Identity | None = None
    conflict: Claim | None = None
    for claim in claims:
        slot = claim.presented.slot
        if claim.identity is None:
            if claim.wrong is not None:
                raise invalid(claim.wrong)
            if slot is Slot.SESSION or (slot is Slot.PROXY and asks_as_proxy(door)):
                raise _unrecognised(slot)
            continue
        if slot is Slot.PROXY:
            at_proxy = claim.identity
        if proved is None:
            proved = claim
        elif claim.presented.value != proved.presented.value:
            conflict = claim
    if proved is not None and conflict is not None:
        raise _conflict(f"'{proved.presented.slot}' and '{conflict.presented.slot}' hold two different credentials.")
    if door is Door.CONNECT or (door is Door.ABSOLUTE and not gateway):
        if at_proxy is None and not (door is Door.CONNECT and intercepted):
            raise missing(door)
        return at_proxy
    if proved is not None and proved.identity is not None:
        if tunnel is not None and tunnel.user != proved.identity.user:
            raise _conflict(f"'{proved.presented.slot}' holds a credential of another user than the proxy's.")
        return proved.identity
    if tunnel is not None:
        return tunnel
    raise _unrecognised(claims[0].presented.slot) if claims else missing(door)


def asks_as_proxy(door: Door) -> bool:
    """Whether it is the proxy that asks for credentials here (407), and not the server (401)."""
    return door is Door.CONNECT or door is Door.ABSOLUTE


def missing(door: Door) -> Unauthenticated:
    """Nothing was presented where something must be."""
    return Unauthenticated(
        "No credential was sent.", reason="missing", hint=_PROXY_HINT if asks_as_proxy(door) else _HEADER_HINT
    )


def invalid(cause: Unauthenticated) -> Unauthenticated:
    """A credential of ours that is wrong, in one sentence for all of them; the cause's reason is kept for the log."""
    return Unauthenticated(_WRONG, reason=cause.reason, hint=_WRONG_HINT, detail=cause.detail)


def _unrecognised(slot: Slot) -> Unauthenticated:
    hint = f"What stands in '{slot}' is no credential of this gateway; its keys begin with {PREFIX}."
    return Unauthenticated(_WRONG, reason="unrecognised", hint=hint)


def _conflict(sentence: str) -> Forbidden:
    return Forbidden(sentence, hint="Send one credential, in one place.")


_WRONG = "The credential is not valid."
_WRONG_HINT = "It may be mistyped, expired or revoked; `llmauth keys list` shows the keys."
_PROXY_HINT = "Put a gateway key into the proxy URL as the password: http://user:KEY@host:port."
_HEADER_HINT = "Send a gateway key as `X-API-Key`, as `Authorization: Bearer`, or where your SDK puts its key."
