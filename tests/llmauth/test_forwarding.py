"""S9: whatever a client sends, what leaves has none of its credentials, one length, and all the rest as it came."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmauth import providers
from llmauth.addresses import HostPort
from llmauth.authenticators.tokens import FORM
from llmauth.context import TransparentRoute
from llmauth.errors import BadRequest
from llmauth.forwarding import carried, outgoing
from llmauth.http import Door, Headers, Request, Url
from llmauth.providers.bedrock import BedrockOptions
from llmauth.providers.openai import OpenAIOptions
from llmauth.screening import screen_framing
from llmauth.secrets import ApiKey, AwsKeys, Secret

OPENAI = providers.build("openai", OpenAIOptions())
BEDROCK = providers.build("bedrock", BedrockOptions())
OURS = ApiKey(value=Secret("sk-ours"))
AWS = AwsKeys(access_key_id="AKIAOURS", secret_access_key=Secret("s"), session_token=Secret("t"))
CANARY = b"canary"

CREDENTIALS = {
    *(b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"ocp-apim-subscription-key"),
    *(b"x-totp-code", b"x-session-token", b"proxy-authorization", b"proxy-connection", b"proxy-what-ever"),
    *(b"x-amz-date", b"x-amz-security-token", b"x-amz-content-sha256", b"x-amzn-oidc-data"),
}
HOP_BY_HOP = {b"connection", b"keep-alive", b"te", b"trailer", b"upgrade", b"http2-settings", b"expect"}
HARMLESS = {
    *(
        b"user-agent",
        b"accept",
        b"content-type",
        b"anthropic-version",
        b"x-forwarded-for",
        b"cookie",
        b"x-stainless-os",
    ),
    *(b"date", b"x-goog-user-project", b"x-amzn-bedrock-trace", b"my-header", b"content-encoding"),
}


def folded(name: bytes) -> bytes:
    return name.lower().replace(b"_", b"-")


SPELLINGS: tuple[Callable[[bytes], bytes], ...] = (
    *(bytes.lower, bytes.upper, bytes.title, bytes.swapcase),
    lambda name: name.replace(b"-", b"_"),
    lambda name: name.replace(b"-", b"_", 1).title(),
)


def spelled(names: set[bytes]) -> st.SearchStrategy[bytes]:
    return st.builds(lambda name, spell: spell(name), st.sampled_from(sorted(names)), st.sampled_from(SPELLINGS))


VALUES = st.binary(max_size=6).map(lambda value: value.translate(None, b"\r\n\0"))
TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=6).map(str.encode)  # all that AWS signs
RISKY = {b"content-length", b"host", b"authorization", b"x-request-id", b"transfer-encoding", b""}
LISTS = st.lists(st.one_of(spelled(RISKY), spelled(CREDENTIALS | HARMLESS)), min_size=1, max_size=4)


@st.composite
def heads(draw: st.DrawFn, values: st.SearchStrategy[bytes] = VALUES) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Header fields, and the body that they tell of."""
    fields = draw(
        st.lists(
            st.one_of(
                st.tuples(spelled({b"connection"}), LISTS.map(b", ".join)),
                st.tuples(spelled(CREDENTIALS), st.just(CANARY)),
                st.tuples(spelled(HOP_BY_HOP - {b"connection"}), values),
                st.tuples(spelled(HARMLESS), values),
                st.tuples(spelled({b"x-request-id"}), st.just(b"theirs")),
            ),
            max_size=12,
        )
    )
    body = draw(st.binary(max_size=12))
    spell = draw(st.sampled_from((bytes.lower, bytes.upper, bytes.title)))
    length = (spell(b"content-length"), b"%d" % len(body))
    chunked = (spell(b"transfer-encoding"), b"chunked")
    framing = draw(st.sampled_from([[length], [chunked], *([[]] if not body else [])]))
    fields = [*fields, (b"Host", b"client.example"), *framing]
    return draw(st.permutations(fields)), body


def build(fields, body=b"", path="/v1/models"):
    return Request(
        method="POST",
        url=Url("https", "api.openai.com", 443, path),
        headers=Headers(fields),
        door=Door.TUNNEL,
        body=body,
        tunnel=HostPort("api.openai.com", 443),
    )


def sent(fields, body=b"", *, path="/v1/models", native=True, handler=OPENAI, request_id="req_ours"):
    route = TransparentRoute(instance="openai", path=path, native=native)
    return outgoing(build(fields, body, path), route, handler, request_id)


def values(request: Request, name: bytes) -> list[bytes]:
    return [value for each, value in request.headers.fields if folded(each) == name]


@settings(max_examples=250)
@given(heads(), st.sampled_from(["req_ours", None]))
def test_whatever_comes(head, request_id):
    fields, body = head
    screen_framing(build(fields, body))  # these heads do reach us
    request = sent(fields, body, request_id=request_id)
    connection = {folded(t.strip()) for n, v in fields if n.lower() == b"connection" for t in v.split(b",")}
    told = [b"%d" % len(body)] if any(folded(n) in (b"content-length", b"transfer-encoding") for n, _ in fields) else []

    left = {folded(name) for name, _ in request.headers.fields}
    assert not left & (CREDENTIALS | HOP_BY_HOP | {b"transfer-encoding"})
    assert not [name for name in left if name.startswith(b"proxy-")]
    assert CANARY not in b"".join(value for _, value in request.headers.fields)
    assert values(request, b"content-length") == told
    assert values(request, b"x-request-id") == ([] if request_id is None else [b"req_ours"])
    assert request.body == body

    gone = CREDENTIALS | HOP_BY_HOP | connection | {b"transfer-encoding", b"x-request-id", b"content-length"}
    kept = [field for field in fields if folded(field[0]) not in gone]
    assert [f for f in request.headers.fields if folded(f[0]) not in (b"content-length", b"x-request-id")] == kept


@settings(max_examples=100)
@given(heads(TEXTS), st.booleans())
def test_whatever_comes_it_is_signed_once(head, native):
    fields, body = head
    bare = sent(fields, body, native=native, handler=OPENAI)
    signed = OPENAI.authorize(bare, OURS)
    assert values(signed, b"authorization") == [b"Bearer sk-ours"]
    assert values(signed, b"host") == [b"api.openai.com"]
    bare = sent(fields, body, path="/model/m/invoke", native=False, handler=BEDROCK)
    signed = BEDROCK.authorize(bare, AWS)
    assert [value[:16] for value in values(signed, b"authorization")] == [b"AWS4-HMAC-SHA256"]
    assert values(signed, b"x-amz-security-token") == [b"t"]
    assert [len(values(signed, name)) for name in (b"host", b"x-amz-date")] == [1, 1]
    assert CANARY not in b"".join(value for _, value in signed.headers.fields)


# ---- the length ----------------------------------------------------------------------------------------------------

LENGTH = (b"content-length", b"5")


@pytest.mark.parametrize(
    ("fields", "body", "told"),
    [
        ([LENGTH], b"12345", [LENGTH]),  # where it stood, as it was spelled
        ([(b"CONTENT-LENGTH", b"005")], b"12345", [(b"CONTENT-LENGTH", b"005")]),
        ([(b"Transfer-Encoding", b"chunked")], b"12345", [(b"Content-Length", b"5")]),
        ([(b"Transfer-Encoding", b"chunked")], b"", [(b"Content-Length", b"0")]),
        ([(b"Content-Length", b"0")], b"", [(b"Content-Length", b"0")]),
        ([(b"Connection", b"Content-Length"), LENGTH], b"12345", [(b"Content-Length", b"5")]),
        ([LENGTH, (b"Connection", b"close, content_length")], b"12345", [(b"Content-Length", b"5")]),
        (
            [(b"Connection", b"transfer-encoding"), (b"Transfer-Encoding", b"chunked")],
            b"1",
            [(b"Content-Length", b"1")],
        ),
        ([], b"", []),
        ([], b"1", [(b"Content-Length", b"1")]),  # HTTP/2 needs no length; what leaves by HTTP/1 does
    ],
)
def test_the_length_that_is_told_is_the_bodys(fields, body, told):
    assert list(sent(fields, body, request_id=None).headers.fields) == told


# ---- the address ---------------------------------------------------------------------------------------------------


def test_by_the_providers_own_host_the_place_stays():
    request = sent([], path="/v1/a%2Fb;c?x=%7e&y=+")
    assert request.url == Url("https", "api.openai.com", 443, "/v1/a%2Fb;c?x=%7e&y=+")


def test_it_never_leaves_in_clear_text():
    """S4: whatever the scheme was by which it came."""
    arrived = build([]).altered(url=Url("http", "api.openai.com", 443, "/v1"))
    route = TransparentRoute(instance="openai", path="/v1", native=True)
    assert outgoing(arrived, route, OPENAI, None).url.scheme == "https"


def test_by_path_the_instance_says_where():
    route = TransparentRoute(instance="b", path="/model/arn%3Aaws%2Fm/invoke", native=False)
    arrived = Request(
        method="POST",
        url=Url("http", "llm.internal", 8080, "/transparent/b/model/arn%3Aaws%2Fm/invoke"),
        headers=Headers([(b"Host", b"evil.example")]),
        door=Door.GATEWAY,
    )
    url = outgoing(arrived, route, BEDROCK, None).url
    assert url == Url("https", "bedrock-runtime.us-east-1.amazonaws.com", 443, "/model/arn%3Aaws%2Fm/invoke")


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("?key=llmauth_canary&alt=sse", "?alt=sse"),
        ("?alt=sse&%6bey=llmauth_canary", "?alt=sse"),
        ("?X-Amz-Signature=canary&X-Amz-Credential=canary&X-Amz-Date=1", ""),
        ("?alt=sse", "?alt=sse"),
        ("?alt=sse&q=about-llmauth_0123456789_canary", "?alt=sse"),
        ("?q=about-llmauth%5F0123456789%5Fcanary&q=docs?", "?q=docs?"),
    ],
)
def test_no_credential_leaves_in_the_query(native, query, left):
    assert sent([], path=f"/v1/models{query}", native=native).url.path == f"/v1/models{left}"


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("part", ["llmauth_0123456789_canary", "llmauth%5F0123456789%5Fcanary", f"x-{FORM}e30.c"])
def test_a_key_of_ours_in_the_path_goes_nowhere(part, native):
    """S9: it cannot be cut out of a path, so the request is refused; in clear text as well."""
    with pytest.raises(BadRequest, match="path"):
        sent([], path=f"/v1/models/{part}/x?a=b", native=native)
    url = Url("http", "example.org", 8000, f"/{part}")
    with pytest.raises(BadRequest) as refusal:
        carried(Request(method="GET", url=url, headers=Headers([]), door=Door.ABSOLUTE))
    assert "canary" not in str(refusal.value)
    assert sent([], path="/v1/models/llmauth_docs", native=native).url.path == "/v1/models/llmauth_docs"


def test_a_date_goes_with_the_signature_that_it_belongs_to():
    date = (b"Date", b"Thu, 01 Jan 2026 00:00:00 GMT")
    assert sent([date], request_id=None).headers.fields == (date,)
    assert sent([date, (b"Authorization", b"AWS4-HMAC-SHA256 x")], request_id=None).headers.fields == ()


def test_what_came_is_left_as_it_was():
    request = build([(b"Authorization", CANARY), (b"Connection", b"close")], json.dumps({"a": 1}).encode())
    before = request.altered()
    outgoing(request, TransparentRoute(instance="o", path="/v1", native=True), OPENAI, "req_1")
    assert request == before


HANDSHAKE = [
    *((b"Host", b"api.openai.com"), (b"Connection", b"keep-alive, Upgrade"), (b"Upgrade", b"WebSocket")),
    *((b"Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="), (b"Sec-WebSocket-Version", b"13")),
    (b"Sec-WebSocket-Extensions", b"permessage-deflate; client_max_window_bits"),
]


def test_a_websocket_is_asked_for_anew():
    left = sent([*HANDSHAKE, (b"X-API-Key", CANARY)])
    assert left.headers.fields == (
        HANDSHAKE[0],
        *HANDSHAKE[3:],
        *((b"Connection", b"Upgrade"), (b"Upgrade", b"websocket"), (b"X-Request-Id", b"req_ours")),
    )


@pytest.mark.parametrize(
    ("offered", "left"),
    [
        (b"realtime, openai-insecure-api-key.llmauth_a_b, beta", [b"realtime, beta"]),
        (b"openai-insecure-api-key.canary", []),
        (b"realtime", [b"realtime"]),
    ],
)
def test_of_its_subprotocols_those_leave_that_are_no_credential(offered, left):
    assert values(sent([*HANDSHAKE, (b"sec-websocket-PROTOCOL", offered)]), b"sec-websocket-protocol") == left


def test_without_a_websocket_no_subprotocol_leaves():
    assert values(sent([HANDSHAKE[0], (b"Sec-WebSocket-Protocol", b"realtime")]), b"sec-websocket-protocol") == []
    spelled_otherwise = sent([*HANDSHAKE, (b"Sec_WebSocket-Protocol", b"realtime")])
    assert b"realtime" not in b"".join(value for _, value in spelled_otherwise.headers.fields)


def test_in_clear_text_no_credential_and_no_field_of_this_hop_leaves():
    """S4, S9: for a host that is no provider, with nothing put in their place."""
    fields = [(name, CANARY) for name in sorted(CREDENTIALS | HOP_BY_HOP - {b"connection"})]
    headers = Headers(
        [(b"Connection", b"host, x-mine"), (b"X-Mine", b"1"), (b"hOSt", b"x"), *fields, (b"X-Keep", b"1")]
    )
    url = Url("http", "example.org", 80, "/a%2Fb?key=llmauth_a_b&c=d")
    left = carried(Request(method="GET", url=url, headers=headers, door=Door.ABSOLUTE))
    assert left.headers.fields == ((b"Host", b"example.org"), (b"X-Keep", b"1"))
    assert left.url.path == "/a%2Fb?c=d"


def test_a_carried_body_has_one_length():
    url = Url("http", "example.org", 8000, "/")
    headers = Headers([(b"Host", b"example.org:8000"), (b"Transfer-Encoding", b"chunked")])
    left = carried(Request(method="POST", url=url, headers=headers, door=Door.ABSOLUTE, body=b"abc"))
    assert left.headers.fields == ((b"Host", b"example.org:8000"), (b"Content-Length", b"3"))
