"""A flow becomes a request and a request becomes a flow without the loss of a byte."""

from __future__ import annotations

import pytest

from addons import convert
from addons.exchange import Exchanges
from llmauth.addresses import HostPort
from llmauth.http import Door, Headers, Request, Response, Url
from tests.addons import flows
from tests.addons.flows import HOST, TARGET

ODD = b"/model/arn%3Aaws%3Abedrock%2Fx;v=1/\xff?a=%2F&b=\xc3\xa9"


def test_a_gateway_path_keeps_every_byte(exchanges: Exchanges) -> None:
    flow = flows.gateway(exchanges, ODD, (b"X-Odd", b"\xff"), (b"x-odd", b"2"))
    request = convert.to_request(flow, Door.GATEWAY, None)
    assert request.url.path.encode("utf-8", "surrogateescape") == ODD
    assert request.headers.fields == ((b"Host", b"gateway"), (b"X-Odd", b"\xff"), (b"x-odd", b"2"))
    assert (request.method, request.door, request.tunnel, request.source) == ("GET", Door.GATEWAY, None, "127.0.0.1")
    assert request.body == b""


def test_a_connect_is_for_https_at_its_target(exchanges: Exchanges) -> None:
    request = convert.to_request(flows.connect(exchanges), Door.CONNECT, TARGET)
    assert request.url == Url("https", HOST, 443, "")
    assert request.tunnel == TARGET


def test_in_a_tunnel_the_url_is_the_tunnels(exchanges: Exchanges) -> None:
    flow = flows.inside(exchanges)
    flow.request.data.host = "API.OPENAI.COM."
    assert convert.to_request(flow, Door.TUNNEL, TARGET).url == Url("https", HOST, 443, "/v1/models")


@pytest.mark.parametrize(
    ("authority", "place"),
    [
        (b"api.openai.com", (HOST, 443)),
        (b"API.openai.com.:443", (HOST, 443)),
        (b"evil.example", ("evil.example", 443)),
        (b"api.openai.com:8443", (HOST, 8443)),
        (b"user@api.openai.com", ("", 0)),
        (b"\xff", ("", 0)),
        (b":443", ("", 0)),
        (b"api.openai.com:x", ("", 0)),
    ],
)
def test_an_authority_inside_is_shown_as_it_is_read(
    exchanges: Exchanges, authority: bytes, place: tuple[str, int]
) -> None:
    url = convert.to_request(flows.inside(exchanges, authority=authority), Door.TUNNEL, TARGET).url
    assert (url.host, url.port) == place


def test_clear_text_in_a_tunnel_stays_clear_text(exchanges: Exchanges) -> None:
    assert convert.to_request(flows.inside(exchanges, scheme=b"http"), Door.TUNNEL, TARGET).url.scheme == "http"


def test_a_peer_without_an_address_has_none(exchanges: Exchanges) -> None:
    flow = flows.gateway(exchanges)
    flow.client_conn.peername = None  # type: ignore[assignment]
    assert convert.to_request(flow, Door.GATEWAY, None).source == ""


def test_what_is_applied_is_what_is_read_again(exchanges: Exchanges) -> None:
    flow = flows.inside(exchanges, authority=b"api.openai.com")
    flow.request.raw_content = b"body"
    request = Request(
        method="POST",
        url=Url("https", HOST, 443, ODD.decode("utf-8", "surrogateescape")),
        headers=Headers([(b"Host", HOST.encode()), (b"X-Odd", b"\xff")]),
        door=Door.TUNNEL,
        tunnel=TARGET,
        source="127.0.0.1",
    )
    convert.apply(request, flow)
    assert convert.to_request(flow, Door.TUNNEL, HostPort(HOST, 443)) == request
    assert flow.request.data.authority == b""
    assert flow.request.raw_content == b"body"


def test_an_answer_is_final_and_knows_its_length(exchanges: Exchanges) -> None:
    flow = flows.gateway(exchanges, b"/", (b"Expect", b"100-continue"))
    flow.request.stream = True
    headers = Headers([(b"X-A", b"1"), (b"Content-Length", b"999")])
    convert.answer(flow, Response(status=401, headers=headers, body=b"no"))
    assert flow.response.status_code == 401
    assert flow.response.headers.get_all("content-length") == ["2"]
    assert flow.response.headers["x-a"] == "1"
    assert flow.response.raw_content == b"no"
    assert flow.request.stream is False
    assert "expect" not in flow.request.headers


def test_an_answer_of_an_unknown_status_has_no_reason(exchanges: Exchanges) -> None:
    flow = flows.gateway(exchanges)
    convert.answer(flow, Response(status=599, headers=Headers(), body=b""))
    assert flow.response.data.reason == b""
