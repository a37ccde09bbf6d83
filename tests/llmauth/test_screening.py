"""Heads that no honest client sends are refused, and those that honest clients send are not."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmauth.addresses import HostPort
from llmauth.errors import BadRequest, GatewayError, HeadTooLarge, MethodNotAllowed, Misdirected, UpgradeRefused
from llmauth.http import Door, Headers, Request, Url
from llmauth.screening import hop_by_hop_names, screen


def forwardable(headers):
    """As `llmauth.forwarding` does it: every field but those of the names it is told."""
    names = hop_by_hop_names(headers)
    return Headers([field for field in headers.fields if field[0].lower() not in names])


API = "api.openai.com"


def build(
    *, door=Door.TUNNEL, method="POST", host=API, port=443, path="/v1/models", tunnel=API, scheme=None, fields=None
):
    """`tunnel` is the CONNECT target's host; `fields` replaces the one Host field that honest clients send."""
    scheme = scheme or ("http" if door in (Door.ABSOLUTE, Door.GATEWAY) else "https")
    return Request(
        method=method,
        url=Url(scheme, host, port, path),
        headers=Headers([(b"Host", host.encode())] if fields is None else fields),
        door=door,
        tunnel=HostPort(tunnel, port) if door in (Door.TUNNEL, Door.CONNECT) else None,
    )


def host(*values):
    return [(b"Host", value) for value in values]


HONEST = {
    "openai": build(fields=[*host(b"api.openai.com"), (b"Content-Length", b"12"), (b"User-Agent", b"OpenAI/Python")]),
    "port spelled out": build(fields=host(b"api.openai.com:443")),
    "capitals and a trailing dot": build(host="API.OpenAI.com.", fields=host(b"Api.OPENAI.com.")),
    "another port": build(port=8443, fields=host(b"api.openai.com:8443")),
    "chunked": build(fields=[*host(b"api.openai.com"), (b"Transfer-Encoding", b"Chunked")]),
    "h2c offered by Java": build(fields=[*host(b"api.openai.com"), (b"Upgrade", b"h2c")]),
    "connect": build(door=Door.CONNECT, method="CONNECT", fields=host(b"api.openai.com:443")),
    "connect, no port (HttpURLConnection)": build(
        door=Door.CONNECT, method="CONNECT", port=8443, fields=host(b"api.openai.com")
    ),
    "connect, no Host (http.client of Python 3.11)": build(door=Door.CONNECT, method="CONNECT", fields=[]),
    "gateway": build(door=Door.GATEWAY, fields=host(b"10.0.0.7:8080")),
    "gateway, IPv6": build(door=Door.GATEWAY, fields=host(b"[::1]:8080")),
    "absolute": build(door=Door.ABSOLUTE, host="example.org", port=80, path="/"),
    "bytes beyond ASCII in a value": build(fields=[*host(b"api.openai.com"), (b"X-Title", "Grüße".encode())]),
}


@pytest.mark.parametrize("request_", HONEST.values(), ids=HONEST)
def test_honest_requests_pass(request_):
    screen(request_, sni=API if request_.door is Door.TUNNEL else None)


@pytest.mark.parametrize("method", ["TRACE", "TRACK", "CONNECT", "PROPFIND", "get", ""])
@pytest.mark.parametrize("door", [Door.TUNNEL, Door.GATEWAY, Door.ABSOLUTE])
def test_s10_methods_that_no_provider_needs(method, door):
    with pytest.raises(MethodNotAllowed):
        screen(build(door=door, method=method, port=80 if door is Door.ABSOLUTE else 443))


@pytest.mark.parametrize("method", ["GET ", "helloP\u00d6ST", "GE\tT", "G(ET"])
def test_a_method_that_is_no_token_ends_the_connection(method):
    with pytest.raises(BadRequest) as caught:
        screen(build(method=method, path="/v1/../v1"))
    assert caught.value.close


@pytest.mark.parametrize(
    "field",
    [
        (b"X-A", b"1\r\nX-B: 2"),
        (b"X-A", b"folded\r\n into two lines"),
        (b"X-A", b"bare\rreturn"),
        (b"X-A", b"bare\nfeed"),
        (b"X-A", b"nul\0"),
        (b"X A", b"1"),
        (b"X-A ", b"space before the colon"),
        (b"X-A\r\nX-B", b"1"),
        (b"X:A", b"1"),
        (b"", b"1"),
        (b"X-\xc3\xa4", b"1"),
        (b"Content-Length", b"+5"),
        (b"Content-Length", b"5, 5"),
        (b"Content-Length", b""),
        (b"Content-Length", b"1" * 5000),
        (b"Content_Length", b"5"),
        (b"Transfer-Encoding", b"gzip, chunked"),
        (b"Transfer-Encoding", b"xchunked"),
        (b"Transfer_Encoding", b"chunked"),
    ],
)
def test_b1_ambiguous_fields_end_the_connection(field):
    with pytest.raises(BadRequest) as caught:
        screen(build(fields=[*host(b"api.openai.com"), field]))
    assert caught.value.close


FRAMING = [
    (b"Content-Length", b"5"),
    (b"content-length", b"5"),
    (b"Transfer-Encoding", b"chunked"),
    (b"TRANSFER-ENCODING", b"chunked"),
]


@pytest.mark.parametrize("pair", list(itertools.combinations(FRAMING, 2)))
def test_b1_the_length_is_told_once(pair):
    with pytest.raises(BadRequest, match="more than once"):
        screen(build(fields=[*host(b"api.openai.com"), *pair]))


def test_b2_fields_are_counted_and_weighed():
    screen(build(fields=[*host(b"api.openai.com"), *[(b"X-A", b"1")] * 199]))
    with pytest.raises(HeadTooLarge):
        screen(build(fields=[*host(b"api.openai.com"), *[(b"X-A", b"1")] * 200]))
    with pytest.raises(HeadTooLarge):
        screen(build(fields=[*host(b"api.openai.com"), (b"X-A", b"1" * 65536)]))


@pytest.mark.parametrize("door", [Door.TUNNEL, Door.GATEWAY, Door.ABSOLUTE])
@pytest.mark.parametrize(
    "hosts", [(), (b"",), (b"api.openai.com", b"api.openai.com"), (b"api.openai.com", b"evil.example")]
)
def test_s2_one_host_and_not_an_empty_one(door, hosts):
    with pytest.raises(BadRequest, match="Host header"):
        screen(build(door=door, port=80 if door is Door.ABSOLUTE else 443, fields=host(*hosts)))


@pytest.mark.parametrize("door", [Door.TUNNEL, Door.GATEWAY, Door.ABSOLUTE, Door.CONNECT])
@pytest.mark.parametrize(
    "value",
    [
        b"user@api.openai.com",
        b"user:pw@api.openai.com:443",
        b"api.openai.com:0443x",
        b"api.openai.com:",
        b"api.openai.com/",
        b"api.openai.com\\",
        b"api..com",
        b"a b",
        b"a,b",
        b"a%2eb",
        b"\xff",
    ],
)
def test_s3_a_host_is_a_host_and_a_port(door, value):
    method = "CONNECT" if door is Door.CONNECT else "GET"
    with pytest.raises(BadRequest, match="not a host and port"):
        screen(build(door=door, method=method, port=80 if door is Door.ABSOLUTE else 443, fields=host(value)))


OTHERS = [API, "evil.example", "api.openai.com.evil.example", "xapi.openai.com"]


@pytest.mark.parametrize(
    ("target", "sni", "header", "authority"), [c for c in itertools.product(OTHERS, repeat=4) if len(set(c)) > 1]
)
def test_s2_target_tls_name_host_and_authority_agree_in_every_request(target, sni, header, authority):
    with pytest.raises(Misdirected) as caught:
        screen(build(tunnel=target, host=authority, fields=host(header.encode())), sni=sni)
    assert caught.value.close


def test_s2_ports_belong_to_the_comparison():
    with pytest.raises(Misdirected):
        screen(build(fields=host(b"api.openai.com:8443")))
    with pytest.raises(Misdirected):
        screen(build(port=8443, fields=host(b"api.openai.com")))
    with pytest.raises(Misdirected):
        screen(build(door=Door.CONNECT, method="CONNECT", fields=host(b"api.openai.com:80")))
    with pytest.raises(Misdirected):
        screen(build(door=Door.ABSOLUTE, host="example.org", port=80, fields=host(b"example.org:81")))


@pytest.mark.parametrize("sni", ["evil.example", "", "api.openai.com ", "*.openai.com"])
def test_s2_a_tls_name_that_is_odd_is_another_name(sni):
    with pytest.raises(Misdirected):
        screen(build(), sni=sni)


def test_a_client_without_sni_is_judged_by_the_rest():
    screen(build(), sni=None)


def test_s4_no_plain_http_inside_a_tunnel():
    with pytest.raises(BadRequest, match="Plain HTTP") as caught:
        screen(build(scheme="http"))
    assert caught.value.close


@pytest.mark.parametrize("authority", ["user@example.org", "example.org\\", "exa mple.org", ""])
def test_s3_absolute_form_names_a_host(authority):
    with pytest.raises(BadRequest):
        screen(build(door=Door.ABSOLUTE, host=authority, port=80, fields=host(b"example.org")))


@pytest.mark.parametrize(
    "path",
    [
        "/v1/chat/completions",
        "/model/anthropic.claude-v2:1/converse",
        "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fabc/converse",
        "/v1/files/a;b,c@d!$&'()*+=~_-",
        "/.well-known/x",
        "/v1/.../x",
        "/a..b/..c/d..",
        "//double//slash",
        '/v1/models?q=../..&r=%0a%5c&s=100%&t="<>{}|^`',
        "/v1/%E4%BD%A0",
    ],
)
def test_a3_what_providers_understand_passes(path):
    screen(build(path=path))


@pytest.mark.parametrize(
    "path",
    [
        "",
        "*",
        "v1",
        "/v1/../admin",
        "/v1/./x",
        "/..",
        "/v1/..?x",
        "/v1/%2e%2E/admin",
        "/v1/.%2e/admin",
        "/v1/%2e/x",
        "/v1/..%2fadmin",
        "/model/a%2F..%2Fb/invoke",
        "/v1/..;x/admin",
        "/v1\\admin",
        "/v1/..\\admin",
        "/v1/a%5Cb",
        "/v1/a%00b",
        "/v1/a%0d%0aHost:%20evil",
        "/v1/a%1f",
        "/v1/a%7F",
        "/v1/%c0%ae%c0%ae/x",
        "/v1/a%C2%85b",
        "/v1/a b",
        "/v1/a\tb",
        "/v1/a\r\nHost: evil",
        "/v1/a\0",
        "/v1/a#fragment",
        "/v1/ä",
        "/v1/a%",
        "/v1/a%2",
        "/v1/a%zz",
        "/v1?q=a b",
        "/v1?q=#x",
        "/v1?q=\\",
        "/v1?q=\udcff",
    ],
)
@pytest.mark.parametrize("door", [Door.TUNNEL, Door.GATEWAY])
def test_a3_a_path_has_one_reading(path, door):
    with pytest.raises(BadRequest):
        screen(build(door=door, path=path))


def test_b2_the_url_has_a_limit():
    screen(build(path="/" + "a" * 16383))
    with pytest.raises(BadRequest) as caught:
        screen(build(path="/" + "a" * 16384))
    assert caught.value.code == "url_too_long"


@pytest.mark.parametrize("value", [b"h2c, websocket", b"websocket/13", b"TLS/1.0", b"h2", b""])
def test_upgrades_are_refused_at_once(value):
    """Codex loses 15 s by an upgrade that is accepted and not answered, and nothing by a 426."""
    with pytest.raises(UpgradeRefused):
        screen(build(fields=[*host(b"api.openai.com"), (b"Upgrade", value)]))


UPGRADE = [
    *((b"Upgrade", b"WebSocket"), (b"Connection", b"keep-alive, Upgrade")),
    *((b"Sec-WebSocket-Version", b"13"), (b"Sec-WebSocket-Key", b"c2l4dGVlbiAgb2N0ZXRzLg==")),
]


def test_a_websocket_is_let_through_where_its_handshake_is_whole():
    screen(build(method="GET", fields=[*host(b"api.openai.com"), *UPGRADE]))
    for missing in UPGRADE[1:]:
        with pytest.raises(GatewayError) as caught:
            screen(build(method="GET", fields=[*host(b"api.openai.com"), *(f for f in UPGRADE if f != missing)]))
        assert caught.value.status in (400, 426)
        assert caught.value.close


def test_a_connect_is_no_handshake():
    with pytest.raises(UpgradeRefused):
        screen(build(door=Door.CONNECT, method="CONNECT", fields=[*host(b"api.openai.com:443"), *UPGRADE]))


def test_s9_hop_by_hop_fields_stay_here():
    headers = Headers(
        [
            (b"Host", b"h"),
            (b"Connection", b"keep-alive, X-Secret-Hop"),
            (b"connection", b"x_other"),
            (b"Keep-Alive", b"timeout=5"),
            (b"TE", b"trailers"),
            (b"Trailer", b"X-Sum"),
            (b"Transfer-Encoding", b"chunked"),
            (b"transfer_encoding", b"chunked"),
            (b"Upgrade", b"h2c"),
            (b"HTTP2-Settings", b"AAMA"),
            (b"Expect", b"100-continue"),
            (b"Proxy-Authorization", b"Basic c2VjcmV0"),
            (b"proxy_authorization", b"Basic c2VjcmV0"),
            (b"Proxy-Connection", b"keep-alive"),
            (b"X-Secret-Hop", b"1"),
            (b"X-Other", b"1"),
            (b"anthropic-version", b"2023-06-01"),
            (b"x_custom", b"1"),
            (b"Content-Length", b"5"),
        ]
    )
    kept = [(b"Host", b"h"), (b"anthropic-version", b"2023-06-01"), (b"x_custom", b"1"), (b"Content-Length", b"5")]
    assert list(forwardable(headers).fields) == kept


def test_s9_without_a_connection_field_the_rest_is_untouched():
    headers = Headers([(b"Host", b"h"), (b"B", b"1"), (b"A", b"2"), (b"B", b"3")])
    assert forwardable(headers) == headers


@settings(deadline=None, database=None)
@given(
    door=st.sampled_from([Door.TUNNEL, Door.GATEWAY, Door.ABSOLUTE]),
    path=st.text(st.sampled_from("/.%2eEfFcC5;a\\?#\0\n ä\udcff"), max_size=12),
    name=st.binary(max_size=6),
    value=st.binary(max_size=6),
    authority=st.text(max_size=8) | st.just(API),
    sni=st.none() | st.text(max_size=8) | st.just(API),
)
def test_whatever_comes_is_refused_or_has_one_reading(door, path, name, value, authority, sni):
    request = build(
        door=door, host=authority, path="/" + path, fields=[*host(authority.encode("utf-8", "replace")), (name, value)]
    )
    try:
        screen(request, sni=sni)
    except GatewayError:
        return
    assert not set(b"\r\n\0") & set(name + value)
    segments = request.url.route_path.lower().replace("%2e", ".").replace("%2f", "/").split("/")
    assert not {".", ".."} & {segment.partition(";")[0] for segment in segments}
    assert door is not Door.TUNNEL or {authority.lower().removesuffix("."), (sni or API).lower().removesuffix(".")} == {
        API
    }
