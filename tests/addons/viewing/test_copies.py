"""A copy shares nothing with its flow, holds no credential, and keeps none of what it was made of."""

from __future__ import annotations

import time

import pytest
from mitmproxy import flow as flows
from mitmproxy import http
from mitmproxy.test import tflow, tutils

from addons.exchange import Came, Exchange
from addons.viewing.copies import blank, draw, known
from addons.viewing.onlooker import Onlooker
from addons.viewing.seen import Seen
from llmauth.http import Door, Headers
from llmauth.secrets import MASK
from llmauth.storage.key_text import new_key
from tests.addons.exchanges import exchange, request

KEY = new_key()[1].reveal()
SENT = (b"Authorization", f"Bearer {KEY}".encode())
INJECTED = (b"Authorization", b"Bearer injected-secret")


def signed(exchange: Exchange | None = None, **more: object) -> tuple[http.HTTPFlow, Seen]:
    """A flow that is about to leave, and what was seen of it."""
    head = http.Headers((INJECTED, (b"Host", b"api.openai.com"), (b"Content-Type", b"application/json")))
    body = b'{"key": "in-body", "say": "hello", "echo": "%s injected-secret"}' % KEY.encode()
    flow = tflow.tflow(req=tutils.treq(host="api.openai.com", port=443, headers=head, content=body, path=b"/v1/x?a=1"))
    flow.live = True
    seen = Seen(flow, exchange, blank(flow))
    seen.note_request(flow, signed=exchange is not None)
    return flow, seen


def asked(**more: object) -> Exchange:
    head = Headers([SENT, (b"X-Old", b"1"), (b"Host", b"gateway")])
    made = exchange(secrets=(b"injected-secret",), **more)
    made.request = request(headers=head)
    return made


def everything(copy: http.HTTPFlow) -> str:
    return repr(copy.get_state()) + repr(copy.__dict__)


def test_a_copy_is_of_the_same_id_and_shares_nothing() -> None:
    flow, seen = signed()
    copy = seen.copy
    assert copy.id == flow.id
    assert not copy.live
    assert not copy.killable
    assert copy.client_conn is not flow.client_conn
    assert copy.request is not flow.request
    draw(seen, last=False)
    assert copy.request is not flow.request
    assert copy.server_conn is not flow.server_conn
    assert not hasattr(copy, "llmauth")


def test_no_credential_is_in_it() -> None:
    flow, seen = signed(asked())
    draw(seen, last=False)
    found = everything(seen.copy)
    for secret in (KEY, KEY[10:], "injected-secret", "in-body"):
        assert secret not in found
    assert seen.copy.request.headers["authorization"] == MASK
    assert "hello" in found
    assert flow.request.headers["authorization"] == "Bearer injected-secret", "the flow itself is as it was"


def test_what_the_client_sent_is_known_where_another_request_stands_in_its_place() -> None:
    made = asked(came=Came((SENT,), 1, unchanged=False))
    made.request = request(headers=Headers([]))
    assert KEY.encode() in set(known(made))
    assert set(known(None)) == set()


def test_changes_of_the_head_are_told_by_name() -> None:
    _, seen = signed(asked())
    draw(seen, last=False)
    assert dict(seen.changes) == {
        "authorization": "replaced",
        "x-old": "removed",
        "host": "replaced",
        "content-type": "added",
    }


def test_an_answer_is_masked_as_it_comes() -> None:
    flow, seen = signed(asked())
    flow.response = tutils.tresp(
        content=b"", headers=http.Headers(((b"Set-Cookie", b"c=1"), (b"x", b"injected-secret")))
    )
    seen.note_answer(flow.response, whole=False)
    seen.onlooker = Onlooker(lambda: None)
    seen.onlooker.feed(b"data: one injected-secret\n\ndata: inject")
    draw(seen, last=False)
    assert seen.copy.response is not None
    assert seen.copy.response.content == f"data: one {MASK}\n\ndata: ".encode()
    assert "injected-secret" not in everything(seen.copy)
    assert seen.copy.response.headers["set-cookie"] == MASK


def test_when_the_end_is_drawn_nothing_is_left_of_the_flow() -> None:
    flow, seen = signed(asked())
    flow.response = tutils.tresp(content=b"gone injected-secret")
    flow.error = flows.Error("it said injected-secret")
    seen.note_answer(flow.response, whole=True)
    seen.ended_at = time.monotonic()
    draw(seen, last=True)
    assert (seen.flow, seen.exchange, seen.request, seen.answer, seen.onlooker) == (None,) * 5
    assert seen.copy.error is not None
    assert seen.copy.error.msg == f"it said {MASK}"
    assert "injected-secret" not in everything(seen.copy)
    draw(seen, last=True)


def test_of_an_exchange_of_credentials_the_bodies_are_not_shown() -> None:
    flow, seen = signed(asked(claimed_by=object()))
    flow.response = tutils.tresp(content=b'{"value": "canary"}')
    seen.note_answer(flow.response, whole=True)
    draw(seen, last=False)
    assert "hello" not in everything(seen.copy)
    assert "canary" not in everything(seen.copy)
    assert seen.copy.request.path == "/v1/x"


@pytest.mark.parametrize(("door", "place"), [(Door.GATEWAY, ("http", 8080)), (Door.CONNECT, ("https", 22))])
def test_what_mitmproxy_does_not_know_of_a_place(door: Door, place: tuple[str, int]) -> None:
    flow = tflow.tflow()
    flow.client_conn.sockname = ("127.0.0.1", 8080)
    made = exchange(door=door)
    seen = Seen(flow, made, blank(flow))
    seen.note_request(flow, signed=False)
    draw(seen, last=False)
    assert (seen.copy.request.scheme, seen.copy.request.port) == place
