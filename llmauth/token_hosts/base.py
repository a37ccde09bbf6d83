"""What a vendor's token host is to the rest: its names, what it is asked, and the placeholder that it answers with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol
from urllib.parse import parse_qsl

from llmauth.authenticators.base import Presented, Slot
from llmauth.authenticators.tokens import Tokens
from llmauth.codecs.base import JSON, RefusalShape, Rendered, by_class, to_json
from llmauth.context import Identity
from llmauth.errors import BadRequest, Forbidden, GatewayError, NotFound, Unauthenticated, Unavailable
from llmauth.http import Headers, Request, Response

# Of a caller whom the tunnel or a header has proved. A web identity token, the longest of these values, has some KiB.
LONGEST = 16 * 1024
# Of one that proved nothing yet, whose key may stand in the form and nowhere else.
LONGEST_UNPROVED = 4 * 1024
_MOST_PARAMETERS = 64
# Of a grant or an action; no key is a single word, and none begins so.
_NAME = re.compile(r"urn:[a-z0-9:-]{1,90}|[A-Za-z]{1,39}|[a-z]{1,20}_[a-z]{1,20}")
_FORM_TYPE = "application/x-www-form-urlencoded"
# "The authorization server MUST include the HTTP 'Cache-Control' response header field with a value of 'no-store'"
# (RFC 6749, 5.1).
UNKEPT = (b"Cache-Control", b"no-store")

Parameters = Mapping[str, str]


class TokenHost(Protocol):
    """The token service of one vendor. It hands out placeholders: what they are worth, they are worth here alone."""

    @property
    def shape(self) -> RefusalShape:
        """How this vendor writes a refusal."""
        ...

    @property
    def key_fields(self) -> tuple[str, ...]:
        """Parameters in which an SDK sends a lasting secret, and in which a key of ours may stand instead.

        Tokens that are meant for the vendor (a web identity, an assertion) are none: they are another's, and right.
        """
        ...

    def hosts(self, region: str | None, provider_host: str) -> frozenset[str]:
        """The names that an SDK asks whose instance is in this region and has this host."""
        ...

    def is_exchange(self, request: Request) -> bool:
        """Whether a head is that of an exchange, in whose form a key may follow."""
        ...

    def answer(self, request: Request, identity: Identity, tokens: Tokens) -> Response:
        """A placeholder in the vendor's shape, or what an SDK reads before it asks for one; the body is in.

        Raises BadRequest or NotFound for everything else.
        """
        ...


def parameters(request: Request) -> Parameters:
    """Those of query and form together; BadRequest when one is there twice, or the body is no form.

    "Request and response parameters MUST NOT be included more than once" (RFC 6749, 3.2).
    """
    body = request.body.decode("ascii", "replace")
    if body and (request.headers.get("content-type") or "").partition(";")[0].strip().lower() != _FORM_TYPE:
        raise _unreadable(f"The body is not of type {_FORM_TYPE}.")
    text = "&".join(part for part in (request.url.query, body) if part)
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS, errors="strict")
    except ValueError:  # of the text itself it says nothing
        raise _unreadable("The parameters cannot be read.") from None
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _unreadable("A parameter is sent more than once.")
    return found


def keys_in(host: TokenHost, request: Request) -> tuple[Presented, ...]:
    """What stands where this vendor's SDKs put their secret, to be judged as every slot is."""
    if not host.is_exchange(request):
        return ()
    found = parameters(request)
    return tuple(Presented(slot=Slot.FORM, value=found[name]) for name in host.key_fields if found.get(name))


def key_may_follow(host: TokenHost, request: Request) -> bool:
    """Whether a caller that proved nothing in its head may do so in a short form of announced length."""
    length = body_length(request)
    return bool(host.key_fields) and host.is_exchange(request) and length is not None and length <= LONGEST_UNPROVED


def body_length(request: Request) -> int | None:
    """The announced length, `None` for a body that may be of any; screening has seen that it is a number.

    In HTTP/2 a body needs neither a length nor a coding: there a POST without a length may bring as much as one likes.
    """
    length = request.headers.get("content-length")
    if length is not None:
        return int(length)
    return None if request.method == "POST" or "transfer-encoding" in request.headers else 0


def requested(request: Request, pattern: re.Pattern[str], method: str = "POST") -> bool:
    """Whether the request has this method, and a path that is just this."""
    return request.method == method and pattern.fullmatch(request.url.route_path) is not None


def granted(value: Mapping[str, object]) -> Response:
    """A JSON answer that no cache keeps."""
    return Response(status=200, headers=Headers([JSON, UNKEPT]), body=to_json(value))


def require_grant(found: Parameters, grants: frozenset[str]) -> None:
    """BadRequest for a grant that is not answered here."""
    if found.get("grant_type") not in grants:
        raise BadRequest(
            f"{named('The grant', found.get('grant_type', ''))} is not answered here.",
            hint=f"Answered are: {', '.join(sorted(grants))}.",
            code="unsupported_grant_type",
        )


def named(kind: str, value: str) -> str:
    """What was asked for, by name where it is one: a refusal is logged, and a secret sent in its place would be too."""
    return f"{kind} '{value}'" if _NAME.fullmatch(value) else kind


def asked_host(request: Request) -> str:
    """The token host that a request was sent to; screening has compared it with every other name in it."""
    return request.tunnel.host if request.tunnel is not None else ""


def not_here() -> NotFound:
    """Everything that is no exchange: such a host is never forwarded to."""
    return NotFound(
        "This gateway answers for this host, and only exchanges placeholder tokens at it.",
        hint="Nothing is forwarded to it.",
    )


def _unreadable(message: str) -> BadRequest:
    # The caller may have proved nothing yet, and then is not kept.
    return BadRequest(message, close=True)


ERRORS: Mapping[type[GatewayError], str] = {
    GatewayError: "server_error",
    BadRequest: "invalid_request",
    NotFound: "invalid_request",
    Unauthenticated: "invalid_client",
    Forbidden: "access_denied",
    Unavailable: "temporarily_unavailable",
}
_OWN_CODES = frozenset({"unsupported_grant_type"})


def oauth_error(error: GatewayError) -> dict[str, object]:
    """`error` and `error_description` of RFC 6749, 5.2."""
    name = error.code if error.code in _OWN_CODES else by_class(ERRORS, error)
    return {"error": name, "error_description": error.sentence}


class OAuthRefusals:
    """Refusals as RFC 6749 writes them."""

    name = "oauth"

    def render_error(self, error: GatewayError, request_id: str) -> Rendered:
        """Readers ignore members that they do not know."""
        return Rendered(headers=(JSON, UNKEPT), body=to_json({**oauth_error(error), "request_id": request_id}))
