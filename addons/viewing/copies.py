"""The copy of a flow that a page may hold: made anew of what was seen, every credential in it masked."""

from __future__ import annotations

from collections.abc import Iterator

from mitmproxy import connection, flow, http

from addons.exchange import Exchange
from addons.viewing import bodies, notes
from addons.viewing.heads import answer_fields, presented, request_fields, shown_path
from addons.viewing.masks import Masks
from addons.viewing.seen import Seen, SeenRequest
from llmauth.http import Door, Field, Headers
from llmauth.secrets import ApiKey, AwsKeys, BearerToken

_NOT_SHOWN = b"[an exchange of credentials: its bodies are not shown]"
_CODED = frozenset({b"content-encoding"})


def blank(real: http.HTTPFlow) -> http.HTTPFlow:
    """A flow of the same id that shares nothing with the real one, and is never live: nothing can be done to it."""
    client = real.client_conn
    copy = http.HTTPFlow(
        connection.Client(
            peername=client.peername, sockname=client.sockname, id=client.id, timestamp_start=client.timestamp_start
        ),
        connection.Server(address=None),
        live=False,
    )
    copy.id = real.id
    copy.timestamp_created = real.timestamp_created
    copy.request = http.Request("", 0, b"", b"", b"", b"", b"HTTP/1.1", http.Headers(), b"", None, 0.0, None)
    return copy


def draw(seen: Seen, *, last: bool) -> None:
    """Bring the copy up to what was seen since, and forget that; `last` when nothing more is to come."""
    exchange, real, copy = seen.exchange, seen.flow, seen.copy
    if real is None:
        return
    masks = Masks([*known(exchange), *presented(Headers(real.request.headers.fields), "")])
    request, answer = seen.request, seen.answer
    secret = exchange is not None and exchange.claimed_by is not None
    _draw_connections(real, copy, masks)
    if request is not None:
        _draw_request(copy, request, exchange, masks, secret=secret)
        _place(copy, real, exchange, signed=request.signed)
        seen.changes = _changes(exchange, request)
        seen.request = None
    if answer is not None or seen.onlooker is not None:
        _draw_answer(seen, real, masks, secret=secret)
    if real.request.timestamp_end:
        copy.request.timestamp_end = real.request.timestamp_end
    copy.request.timestamp_start = real.request.timestamp_start
    copy.error = flow.Error(masks.line(real.error.msg), real.error.timestamp) if real.error is not None else None
    notes.write(seen, masks)
    if last:
        seen.flow = seen.exchange = seen.onlooker = seen.answer = seen.outcome = None


def known(exchange: Exchange | None) -> Iterator[bytes]:
    """The credentials of a request: what its client showed, and what we put on."""
    if exchange is None:
        return
    yield from presented(_came(exchange), exchange.request.url.path)
    yield from exchange.secrets
    credential = exchange.leased.credential if exchange.leased is not None else None
    match credential:
        case ApiKey() | BearerToken():
            yield credential.value.reveal().encode("utf-8", "surrogatepass")
        case AwsKeys():
            yield credential.access_key_id.encode()
            yield credential.secret_access_key.reveal().encode("utf-8", "surrogatepass")
            if credential.session_token is not None:
                yield credential.session_token.reveal().encode("utf-8", "surrogatepass")
        case _:
            return


def _came(exchange: Exchange) -> Headers:
    """The fields of a request as its client sent them; another may stand in its place by now."""
    return Headers(exchange.came.fields) if exchange.came is not None else exchange.request.headers


def _draw_connections(real: http.HTTPFlow, copy: http.HTTPFlow, masks: Masks) -> None:
    copy.client_conn.timestamp_end = real.client_conn.timestamp_end
    for source, target in ((real.client_conn, copy.client_conn), (real.server_conn, copy.server_conn)):
        target.tls, target.tls_version, target.alpn, target.cipher = (
            source.tls,
            source.tls_version,
            source.alpn,
            source.cipher,
        )
        target.sni = masks.line(source.sni) if source.sni else source.sni
        target.timestamp_tls_setup = source.timestamp_tls_setup
    server, shown = real.server_conn, copy.server_conn
    shown.id, shown.peername, shown.sockname = server.id, server.peername, server.sockname
    asked_for = server.address if server.timestamp_start is not None else None
    shown.address = (masks.line(str(asked_for[0])), asked_for[1]) if asked_for else None
    shown.timestamp_start, shown.timestamp_tcp_setup = server.timestamp_start, server.timestamp_tcp_setup
    shown.timestamp_end, shown.certificate_list = server.timestamp_end, server.certificate_list[:1]


def _draw_request(
    copy: http.HTTPFlow, seen: SeenRequest, exchange: Exchange | None, masks: Masks, *, secret: bool
) -> None:
    sent = _came(exchange).fields if exchange is not None and seen.signed else seen.fields
    path = seen.path.partition("?")[0] if secret else seen.path
    fields = request_fields(seen.fields, seen.path, sent, masks)
    headers = Headers(seen.fields)
    data = copy.request.data
    data.method, data.scheme = masks.line(seen.method).encode(), masks.line(seen.scheme).encode()
    data.host, data.port = masks.line(seen.host), seen.port
    data.path = shown_path(path, masks).encode("utf-8", "replace")
    data.http_version = masks.line(seen.http_version).encode()
    body = _NOT_SHOWN if secret and seen.body else bodies.shown(seen.body, seen.total, headers, masks)
    data.headers = http.Headers(_uncoded(fields))
    data.content = body


def _place(copy: http.HTTPFlow, real: http.HTTPFlow, exchange: Exchange | None, *, signed: bool) -> None:
    """What mitmproxy does not know of a request to ourselves, and of a CONNECT."""
    if exchange is None or signed:
        return
    if exchange.door is Door.GATEWAY:
        copy.request.data.port = real.client_conn.sockname[1]
    elif exchange.door is Door.CONNECT:
        copy.request.data.scheme = b"https"


def _draw_answer(seen: Seen, real: http.HTTPFlow, masks: Masks, *, secret: bool) -> None:
    answer, copy = seen.answer, seen.copy
    assert answer is not None
    body, total, onlooker = answer.body, answer.total, seen.onlooker
    over = seen.ended_at is not None
    if total is None and onlooker is not None:
        body, total = onlooker.look(), onlooker.total
    shown = bodies.shown(body, total or 0, Headers(answer.fields), masks, over=over)
    copy.response = http.Response(
        masks.line(answer.http_version).encode(),
        answer.status,
        masks.line(answer.reason).encode("utf-8", "replace"),
        http.Headers(_uncoded(answer_fields(answer.fields, masks))),
        _NOT_SHOWN if secret and (body or shown) else shown,
        None,
        real.response.timestamp_start if real.response is not None else 0.0,
        real.response.timestamp_end if real.response is not None and over else None,
    )


def _uncoded(fields: tuple[Field, ...]) -> tuple[Field, ...]:
    """Without the coding of the body, which is shown as the text that it stands for."""
    return tuple([field for field in fields if field[0].lower() not in _CODED])


def _changes(exchange: Exchange | None, seen: SeenRequest) -> tuple[tuple[str, str], ...]:
    """What we did to the head, by name alone."""
    if exchange is None or not seen.signed:
        return ()
    before, after = _came(exchange).index(), Headers(seen.fields).index()
    names = [*before, *(name for name in after if name not in before)]
    changed = [(name, _change(before.get(name), after.get(name))) for name in names]
    return tuple([(name.decode("utf-8", "replace"), change) for name, change in changed if change])


def _change(before: list[bytes] | None, after: list[bytes] | None) -> str:
    if before is None:
        return "added"
    if after is None:
        return "removed"
    return "" if before == after else "replaced"
