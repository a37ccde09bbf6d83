"""The company's proxy: its address, its exceptions as curl reads them, and what its answers mean."""

from __future__ import annotations

import base64

import pytest

from llmauth.addresses import HostPort
from llmauth.upstream_proxy import NoProxy, ProxyAddress, UpstreamProxy, UpstreamProxyError, parse_proxy_url

TARGET = HostPort("api.openai.com", 443)


def basic(pair: str) -> str:
    return "Basic " + base64.b64encode(pair.encode()).decode()


@pytest.mark.parametrize(
    ("url", "place", "pair"),
    [
        ("http://proxy.corp:3128", HostPort("proxy.corp", 3128), None),
        ("http://proxy.corp", HostPort("proxy.corp", 3128), None),
        ("http://PROXY.corp:8080/", HostPort("proxy.corp", 8080), None),
        ("http://10.0.0.1:3128", HostPort("10.0.0.1", 3128), None),
        ("http://[fd00::1]:3128", HostPort("fd00::1", 3128), None),
        ("http://user:pass@proxy.corp:3128", HostPort("proxy.corp", 3128), "user:pass"),
        ("http://us%40er:p%3Aa%2Fss@proxy.corp", HostPort("proxy.corp", 3128), "us@er:p:a/ss"),
        ("http://user@proxy.corp", HostPort("proxy.corp", 3128), "user:"),
        ("http://ü:ß@proxy.corp", HostPort("proxy.corp", 3128), "ü:ß"),
    ],
)
def test_an_address(url: str, place: HostPort, pair: str | None) -> None:
    address = parse_proxy_url(url)
    assert address.place == place
    assert (address.authorization.reveal() if address.authorization else None) == (basic(pair) if pair else None)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "proxy.corp:3128",
            "https://proxy.corp:3128",
            "socks5://proxy.corp",
            "http://",
            "http://:3128",
            "ftp://a",
        ),
        *(
            "http://proxy.corp:x",
            "http://proxy.corp:0",
            "http://proxy.corp:3128/path",
            "http://a b:3128",
            "http://a@b@c",
        ),
        *(
            "http://u:p%0d%0aX-Evil:1@proxy.corp",
            "http://u%00:p@proxy.corp",
            "http://proxy.corp:3128?x",
            "http://a/b@c",
        ),
    ],
)
def test_what_is_no_address_is_refused_without_repeating_it(url: str) -> None:
    """R2: a password may stand in it."""
    with pytest.raises(ValueError) as refused:
        parse_proxy_url(url)
    # The sentence has an example of its own, in which the shortest of these stand.
    assert len(url) < 17 or url not in str(refused.value)


def test_the_password_is_not_printed() -> None:
    assert "pass" not in repr(parse_proxy_url("http://user:pass@proxy.corp"))
    assert basic("user:pass") not in repr(parse_proxy_url("http://user:pass@proxy.corp"))


# Who is reached directly, as `curl -x proxy --noproxy LIST` decides it.
@pytest.mark.parametrize(
    ("entries", "host", "direct"),
    [
        ("", "example.com", False),
        ("*", "example.com", True),
        ("*", "10.0.0.1", True),
        ("example.com", "example.com", True),
        ("EXAMPLE.com", "example.com", True),
        ("example.com", "www.example.com", True),
        ("example.com", "a.b.example.com", True),
        ("example.com", "notexample.com", False),
        ("example.com", "example.com.evil.org", False),
        ("example.com", "example.org", False),
        (".example.com", "www.example.com", True),
        (".example.com", "example.com", True),
        (".example.com", "notexample.com", False),
        ("*.example.com", "www.example.com", True),
        ("example.com.", "example.com", True),
        ("www.example.com", "example.com", False),
        ("com", "example.com", True),
        ("localhost", "localhost", True),
        ("a.org,example.com", "example.com", True),
        ("a.org example.com", "example.com", True),
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.10", False),
        ("10.0.0.0/8", "10.255.0.1", True),
        ("10.0.0.0/8", "11.0.0.1", False),
        ("10.1.2.3/8", "10.255.0.1", True),
        ("192.168.0.0/16", "192.168.4.5", True),
        ("10.0.0.0/8", "ten.example.com", False),
        ("fd00::/8", "fd12::1", True),
        ("fd00::/8", "fe80::1", False),
        ("[fd00::1]", "fd00::1", True),
        ("::1", "::1", True),
        ("0.0.1", "10.0.0.1", False),
    ],
)
def test_who_needs_no_proxy(entries: str, host: str, direct: bool) -> None:
    assert NoProxy(entries.replace(",", " ").split()).covers(host) is direct


@pytest.mark.parametrize("entry", ["10.0.0.0/33", "example.com:443", "a/b", "exa mple", "fd00::/129", ".."])
def test_an_entry_that_is_nothing_is_refused(entry: str) -> None:
    with pytest.raises(ValueError):
        NoProxy([entry])


def test_the_question_names_the_target_and_proves_itself() -> None:
    proxy = UpstreamProxy(parse_proxy_url("http://u:p@proxy.corp"), NoProxy([]))
    expected = f"CONNECT api.openai.com:443 HTTP/1.1\r\nHost: api.openai.com:443\r\nProxy-Authorization: {basic('u:p')}"
    assert proxy.question(TARGET) == expected.encode() + b"\r\n\r\n"
    assert b"CONNECT [2001:db8::1]:443 " in proxy.question(HostPort("2001:db8::1", 443))


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.0 204\r\n\r\n", b"HTTP/1.1 299 x\r\nA: b\r\n\r\n"]
)
def test_a_way_is_open(head: bytes) -> None:
    UpstreamProxy(ProxyAddress(place=HostPort("p", 1)), NoProxy([])).check(head, TARGET)


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"HTTP/1.1 407 x\r\n\r\n", r"wants other credentials than upstream\.proxy\.url has \(407\)"),
        (b"HTTP/1.1 403 x\r\n\r\n", r"does not allow a connection to api\.openai\.com:443 \(403\)"),
        (b"HTTP/1.1 503 secret words\r\n\r\n", r"opened no way to api\.openai\.com:443 \(503\)$"),
        (b"HTTP/1.1 199 x\r\n\r\n", r"\(199\)"),
        (b"HTTP/1.1 2O0 x\r\n\r\n", "not HTTP"),
        (b"ICY 200 OK\r\n\r\n", "not HTTP"),
        (b"", "not HTTP"),
    ],
)
def test_a_way_is_not_open(head: bytes, words: str) -> None:
    with pytest.raises(UpstreamProxyError, match=words) as failed:
        UpstreamProxy(ProxyAddress(place=HostPort("proxy.corp", 3128)), NoProxy([])).check(head, TARGET)
    assert str(failed.value).startswith("the upstream proxy proxy.corp:3128 ")
    assert "secret words" not in str(failed.value)


def test_exceptions_are_served_without_it() -> None:
    proxy = UpstreamProxy(ProxyAddress(place=HostPort("p", 1)), NoProxy(["corp.example"]))
    assert proxy.serves("api.openai.com")
    assert not proxy.serves("git.corp.example")
