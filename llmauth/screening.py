"""Refuses request heads that no honest client sends, and removes the fields that end at this hop."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from llmauth.addresses import HostPort, normalise_host, parse_authority
from llmauth.errors import BadRequest, HeadTooLarge, MethodNotAllowed, Misdirected, UpgradeRefused
from llmauth.http import Door, Headers, Request
from llmauth.websocket.handshake import check_asked, names_websocket

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadLimits:
    """How many fields a head may have, how many bytes they and the URL."""

    fields: int = 200
    head: int = 64 * 1024
    url: int = 16 * 1024


HEAD_LIMITS = HeadLimits()

_Index = Mapping[bytes, list[bytes]]

_TOKEN = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"  # RFC 9110, 5.6.2
_CR, _LF, _NUL = b"\r\n\0"
_PLAIN_HOST = re.compile(rb"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*(:[0-9]{1,5})?")


def screen(request: Request, *, sni: str | None = None, limits: HeadLimits = HEAD_LIMITS) -> None:
    """Judge a head before anything else is done with it; `sni` is the name of the TLS handshake inside the tunnel.

    Raises MethodNotAllowed, BadRequest, HeadTooLarge, UpgradeRefused or Misdirected. Afterwards there is one way to
    read the request: one length, one host, one path.
    """
    screen_framing(request, limits)
    index = request.headers.index()
    _CHECK_PLACE[request.door](request, index.get(b"host", []), sni)
    if request.door is not Door.CONNECT:
        _check_path(request.url.path, limits.url)
    # Last what is refused without an end of the connection: by then it is certain where the next request begins.
    if b"upgrade" in index:
        _check_upgrade(request, index)
    _check_method(request)


def screen_framing(request: Request, limits: HeadLimits = HEAD_LIMITS) -> None:
    """Judge only what tells where the next request of this connection begins: for what is answered before the rest.

    Raises BadRequest or HeadTooLarge.
    """
    if request.method not in METHODS and request.method.encode("utf-8", "replace").translate(None, _TOKEN):
        raise _malformed("The method is no token.")
    _check_fields(request.headers, limits)
    _check_framing(request.headers.index())


def _check_method(request: Request) -> None:
    if request.method not in METHODS and not (request.door is Door.CONNECT and request.method == "CONNECT"):
        # TRACE among them: an upstream that echoes a request would hand our credential to the client.
        raise MethodNotAllowed(
            f"The method {request.method[:20]!r} is not served.", hint=f"Use one of {', '.join(sorted(METHODS))}."
        )


def _check_fields(headers: Headers, limits: HeadLimits) -> None:
    fields = headers.fields
    if len(fields) > limits.fields:
        raise HeadTooLarge(f"{len(fields)} header fields are more than {limits.fields}.", close=True)
    names = b"".join([name for name, _ in fields])
    values = headers.values()
    if len(names) + len(values) > limits.head:
        raise HeadTooLarge(f"The header fields are larger than {limits.head} bytes.", close=True)
    if names.translate(None, _TOKEN) or b"" in headers.index():
        raise _malformed("A header name holds a character that no header name may hold.")
    # By number: `b"\r" in values` takes ten times as long, on every request.
    if _CR in values or _LF in values or _NUL in values:
        raise _malformed("A header value holds a line break or NUL.", "Write every header on one line.")


def _check_framing(index: _Index) -> None:
    if b"content_length" in index or b"transfer_encoding" in index:
        raise _malformed("A header name has an underscore where framing is told by a hyphen.")
    lengths = index.get(b"content-length", [])
    codings = index.get(b"transfer-encoding", [])
    if len(lengths) + len(codings) > 1:
        raise _malformed("The length of the body is told more than once.", "Send one Content-Length, or chunked.")
    # Nineteen digits are more than anybody sends, and fewer than Python refuses to read as one number.
    if lengths and not (lengths[0].isdigit() and len(lengths[0]) < 20):
        raise _malformed("Content-Length is not a number.")
    if codings and codings[0].lower() != b"chunked":
        raise _malformed("Transfer-Encoding is something else than 'chunked'.")


def _check_upgrade(request: Request, index: _Index) -> None:
    if request.door is not Door.CONNECT and names_websocket(index):
        check_asked(request)
    # Java's HttpClient offers h2c on every plain connection and is content when nobody takes it up.
    elif any(token.strip().lower() != b"h2c" for value in index[b"upgrade"] for token in value.split(b",")):
        raise UpgradeRefused("This protocol upgrade is not carried here.", hint="Use plain HTTP requests.")


def _check_connect(request: Request, hosts: list[bytes], sni: str | None) -> None:
    """Python's http.client before 3.12 sends no Host with CONNECT, Java sends it without the port: both are honest."""
    target = request.tunnel or request.url.origin
    index = request.headers.index()
    if b"transfer-encoding" in index or index.get(b"content-length", [b"0"]) != [b"0"]:
        # "A CONNECT request message does not have content" (RFC 9110, 9.3.6): readers differ on what it would mean.
        raise _malformed("A CONNECT with a body is not served.")
    if hosts and _parsed(_only(hosts), target.port) != target:
        raise _misdirected("The Host header", "the CONNECT target")


def _check_tunnel(request: Request, hosts: list[bytes], sni: str | None) -> None:
    """CONNECT target, TLS name, Host and authority must be the same, in every request of a tunnel and not only once."""
    tunnel, url = request.tunnel, request.url
    if tunnel is None:
        raise _misdirected("The request", "a tunnel")
    if url.scheme != "https":
        raise BadRequest("Plain HTTP inside a tunnel is not served.", hint="Use TLS inside the tunnel.", close=True)
    if (url.host != tunnel.host or url.port != tunnel.port) and _origin(request) != tunnel:
        raise _misdirected("The request's own authority", "the CONNECT target")
    host = _only(hosts)
    plain = tunnel.port == 443 and host == tunnel.host.encode("ascii")
    if not plain and _parsed(host, 443) != tunnel:
        raise _misdirected("The Host header", "the CONNECT target")
    if sni is not None and sni != tunnel.host and _name(sni) != tunnel.host:
        raise _misdirected("The name in the TLS handshake", "the CONNECT target")


def _check_absolute(request: Request, hosts: list[bytes], sni: str | None) -> None:
    if _parsed(_only(hosts), 443 if request.url.scheme == "https" else 80) != _origin(request):
        raise _misdirected("The Host header", "the address in the request line")


def _check_gateway(request: Request, hosts: list[bytes], sni: str | None) -> None:
    """Its Host names us, whatever it says, and never chooses where anything is sent; it only has to be one."""
    host = _only(hosts)
    if not _PLAIN_HOST.fullmatch(host):
        _parsed(host, 80)


_CHECK_PLACE = {
    Door.CONNECT: _check_connect,
    Door.TUNNEL: _check_tunnel,
    Door.ABSOLUTE: _check_absolute,
    Door.GATEWAY: _check_gateway,
}


def _only(hosts: list[bytes]) -> bytes:
    if len(hosts) != 1 or not hosts[0]:
        found = "no" if not hosts else "an empty" if len(hosts) == 1 else "more than one"
        raise _malformed(f"The request has {found} Host header.", "Send exactly one.")
    return hosts[0]


def _parsed(host: bytes, default_port: int) -> HostPort:
    try:
        return parse_authority(host.decode("utf-8"), default_port)
    except ValueError:
        raise _malformed("The Host header is not a host and port.") from None


def _origin(request: Request) -> HostPort:
    try:
        return HostPort(normalise_host(request.url.host), request.url.port)
    except ValueError:
        raise _malformed("The host in the request line is not a host name.") from None


def _name(sni: str) -> str | None:
    try:
        return normalise_host(sni)
    except ValueError:
        return None


def _malformed(message: str, hint: str = "") -> BadRequest:
    # The connection ends: two readers of an ambiguous head may not agree on where the next request begins.
    return BadRequest(message, hint=hint, close=True)


def _misdirected(one: str, other: str) -> Misdirected:
    return Misdirected(f"{one} does not name the same place as {other}.", hint="Open a new connection.", close=True)


_UNSENDABLE = re.compile(r"[^!\"$-\[\]-~]")  # everything but printable ASCII; and of that, no blank, '#' and backslash
_DOT_SEGMENT = re.compile(r"(?:/|%2f)(?:\.|%2e){1,2}(?=/|%2f|;|\Z)", re.IGNORECASE)
# Control characters, the backslash, overlong UTF-8 (never valid, yet read as '.' or '/' by some), the C1 controls.
_UNWANTED_CODE = re.compile(r"%(?:[01][0-9a-f]|7f|5c|c[01]|c2%[89][0-9a-f])", re.IGNORECASE)
_BROKEN_CODE = re.compile(r"%(?![0-9A-Fa-f]{2})")


def _check_path(path: str, longest: int) -> None:
    """One reading of the path for us and for the provider; `%2F`, `%3A` and `;` are the provider's, and pass."""
    if len(path) > longest:
        raise BadRequest(f"The URL is longer than {longest} bytes.", code="url_too_long")
    if not path.startswith("/"):
        raise BadRequest("The path does not begin with a slash.")
    if _UNSENDABLE.search(path):
        raise BadRequest("The URL holds a character that must be percent-encoded.", close=True)
    if "%" in path or "/." in path:
        _check_segments(path.partition("?")[0])


def _check_segments(path: str) -> None:
    if _DOT_SEGMENT.search(path):
        raise BadRequest("The path holds a '.' or '..' segment.", hint="Send the path that they lead to.")
    if _UNWANTED_CODE.search(path):
        raise BadRequest("The path holds an encoded control character or backslash.")
    if _BROKEN_CODE.search(path):
        raise BadRequest("The path holds a '%' that is not followed by two hexadecimal digits.")


_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"te",
        b"trailer",
        b"trailers",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
        b"expect",
    }
)


def hop_by_hop_names(headers: Headers) -> set[bytes]:
    """The lower-case names, as spelled here, of the fields that end at this hop.

    They are cut before anything of ours is set, so that `Connection: authorization` removes the client's field and not
    ours. An underscore counts as a hyphen, since some servers read `transfer_encoding` as the other.
    """
    index = headers.index()
    named = index.get(b"connection")
    if named is None and b"_" not in b"".join(index):
        return {name for name in index if name in _HOP_BY_HOP or name.startswith(b"proxy-")}
    dropped = _HOP_BY_HOP | {_folded(token.strip()) for token in b",".join(named or ()).split(b",")}
    return {name for name in index if (folded := _folded(name)) in dropped or folded.startswith(b"proxy-")}


def _folded(name: bytes) -> bytes:
    return name.lower().replace(b"_", b"-")
