"""What a request presents, slot by slot, and the one table that decides whose request it is."""

from __future__ import annotations

import base64
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
# Put on by whoever stands before us, which only a method that knows them believes, and only from peers of its own.
_FORWARDED_SLOTS = {slot.value.encode("ascii"): slot for slot in (Slot.OIDC_DATA, Slot.FORWARDED_CERTIFICATE)}
_ALL_SLOTS = (*_HEADER_SLOTS, *_FORWARDED_SLOTS)
# An identity that comes with the connection, or from a peer, stands back behind what the client sends itself.
AMBIENT = frozenset({Slot.OIDC_DATA, Slot.FORWARDED_CERTIFICATE, Slot.CERTIFICATE})
# `Authorization` carries a scheme before the value; the other headers are the value.
_WITH_SCHEME = frozenset({Slot.AUTHORIZATION, Slot.PROXY})
_SIGNATURE = "x-amz-signature"


def present(request: Request, recognises: Recognises, also: frozenset[Slot] = frozenset()) -> tuple[Presented, ...]:
    """Everything that stands in a credential slot of this request, in a fixed order; BadRequest for two in one slot.

    `also` are the slots that are some only by configuration. At CONNECT only the proxy slot is one, and the client's
    certificate. Spellings with an underscore (`x_api_key`) are no slot at all: servers
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
            found = (*found, _presented(slot, values[0], request.source))
    if not connect and "?" in request.url.path:
        found = (*found, *_in_query(request.url.query, recognises))
    if PROTOCOLS in index and is_asked(request.headers):
        found = (*found, *_in_subprotocols(index[PROTOCOLS]))
    return (*found, *_ambient(request, also)) if also else found


def _ambient(request: Request, slots: frozenset[Slot]) -> Iterator[Presented]:
    if Slot.CERTIFICATE in slots and request.certificate:
        chain = " ".join(base64.b64encode(each).decode("ascii") for each in request.certificate)
        yield Presented(slot=Slot.CERTIFICATE, value=chain, source=request.source)
    if request.door is Door.CONNECT:
        return
    for name, slot in _FORWARDED_SLOTS.items():
        values = request.headers.index().get(name) if slot in slots else None
        if values is not None:
            # Two of them are no mistake of the client's: one may have been there before the peer added its own.
            value = values[0].decode("utf-8", "surrogateescape").strip(" \t") if len(values) == 1 else ""
            yield Presented(slot=slot, value=value, source=request.source)


def raw_slots(request: Request) -> tuple[list[bytes] | None, ...] | None:
    """Every header slot's bytes, to tell that two requests present the same.

    `None` where the query or a list of subprotocols may hold more.
    """
    get = request.headers.index().get
    if "?" in request.url.path or get(PROTOCOLS) is not None:
        return None
    # Those of peers as well: a sidecar sends the requests of many clients over one connection.
    return tuple([get(name) for name in _ALL_SLOTS])


def _presented(slot: Slot, raw: bytes, source: str) -> Presented:
    text = raw.decode("utf-8", "surrogateescape").strip(" \t")
    user = ""
    if slot in _WITH_SCHEME:
        scheme, _, rest = text.partition(" ")
        rest = rest.strip(" ")
        match scheme.lower():
            case "bearer":
                text = rest
            case "basic":
                user, text = _basic(slot, rest, text)
            case _:  # `AWS4-HMAC-SHA256 …`, a token without a scheme: the whole, known by its form or by nobody
                pass
    return Presented(slot=slot, value=text, user=user, source=source)


def _basic(slot: Slot, encoded: str, whole: str) -> tuple[str, str]:
    """User and password; without a user, the whole of what cannot be decoded."""
    try:
        plain = binascii.a2b_base64(encoded.encode("utf-8", "surrogateescape"), strict_mode=True)
    except binascii.Error:
        # ibm-watsonx-ai writes `Basic TOKEN`, unencoded, for a token that holds no dot: a key of ours holds none.
        return "", encoded if slot is Slot.AUTHORIZATION and encoded.startswith(PREFIX) else whole
    user, _, password = plain.decode("utf-8", "surrogateescape").partition(":")
    return user, password


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
    What comes with the connection or from a trusted peer (AMBIENT) gives an identity as the tunnel does. `gateway` says
    that an absolute-form request is to a gateway host, where every slot counts. Raises Unauthenticated (401 or 407, by
    the door) and Forbidden.
    """
    sent: list[Claim] = []
    around: list[Claim] = []
    for claim in claims:
        slot = claim.presented.slot
        if claim.identity is not None:
            (around if slot in AMBIENT else sent).append(claim)
        elif claim.wrong is not None:
            raise invalid(claim.wrong)
        elif slot is Slot.SESSION or (slot is Slot.PROXY and asks_as_proxy(door)):
            raise _unrecognised(claim.presented)
    _require_one(sent)
    proxy_alone = door is Door.CONNECT or (door is Door.ABSOLUTE and not gateway)
    if proxy_alone:
        sent = [claim for claim in sent if claim.presented.slot is Slot.PROXY]
    identities = [claim.identity for claim in (*sent, *around) if claim.identity is not None]
    if tunnel is not None and not proxy_alone:
        identities.append(tunnel)
    if len({identity.user for identity in identities}) > 1:
        raise _conflict(_differs(sent, around))
    if identities:
        return identities[0]
    if door is Door.CONNECT and intercepted:
        return None
    if claims and not proxy_alone:
        raise _unrecognised(claims[0].presented)
    raise missing(door)


def _require_one(sent: Sequence[Claim]) -> None:
    for claim in sent[1:]:
        one, other = sent[0].presented, claim.presented
        if one.value != other.value:
            raise _conflict(f"'{one.slot}' and '{other.slot}' hold two different credentials.")


def _differs(sent: Sequence[Claim], around: Sequence[Claim]) -> str:
    slot = (sent or around)[0].presented.slot
    others = "the proxy's" if not (sent and around) else f"'{around[0].presented.slot}'s"
    return f"'{slot}' holds a credential of another user than {others}."


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
    return Unauthenticated(_WRONG, reason=cause.reason, hint=cause.hint or _WRONG_HINT, detail=cause.detail)


def _unrecognised(presented: Presented) -> Unauthenticated:
    hint = f"What stands in '{presented.slot}' is no credential of this gateway; its keys begin with {PREFIX}."
    if presented.user:
        hint = NO_PASSWORD_HINT
    return Unauthenticated(_WRONG, reason="unrecognised", hint=hint)


def _conflict(sentence: str) -> Forbidden:
    return Forbidden(sentence, hint="Send one credential, in one place.")


NO_PASSWORD_HINT = f"The password is neither a key of this gateway, which begins with {PREFIX}, nor that of this user."
"""Of a name and a password, whether or not there is such a user."""
_WRONG = "The credential is not valid."
_WRONG_HINT = "It may be mistyped, expired or revoked; `llmauth keys list` shows the keys."
_PROXY_HINT = "Put a gateway key into the proxy URL as the password: http://user:KEY@host:port."
_HEADER_HINT = "Send a gateway key as `X-API-Key`, as `Authorization: Bearer`, or where your SDK puts its key."
