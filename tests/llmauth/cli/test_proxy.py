"""The address of a proxy as people write it, and what it answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llmauth.cli.proxy import ProxyFailed, ask, place_of
from llmauth.secrets import Secret
from tests.emulators.service import Call, Reply, Service


class Proxy(Service):
    """Answers everything with this."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.told: tuple[int, Any] = (200, {"user": "alice"})

    def answer(self, call: Call) -> Reply:
        return Reply(*self.told)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy() as service:
        yield service


def test_places() -> None:
    place = place_of("http://alice:p%40ss@proxy.corp:8080/")
    assert (place.url, place.authority) == ("http://proxy.corp:8080", "proxy.corp:8080")
    assert place.password == Secret("p@ss")
    assert "p@ss" not in repr(place)
    assert place.with_credential("bob", Secret("k")) == "http://bob:k@proxy.corp:8080"
    assert place_of("https://[::1]:8443").url == "https://[::1]:8443"
    assert place_of("https://proxy.corp").password is None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "p:8080",
        "socks5://h:1",
        "http://",
        "http://h:port",
        "http://h/path",
        "http://h h",
        "http://$(id)",
        "http://h:1;x",
    ],
)
def test_what_is_no_place(url: str) -> None:
    with pytest.raises(ValueError) as refused:
        place_of(url)
    assert "$(id)" not in str(refused.value)


def test_an_answer(proxy: Proxy) -> None:
    assert ask(place_of(proxy.url), "GET", "/auth/whoami", Secret("key-1")) == {"user": "alice"}
    assert proxy.calls[0].bearer == "key-1"


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ((401, {"error": {"message": "The credential is not valid."}}), "The credential is not valid."),
        ((401, {"error": {"message": "\x1b[2J"}}), "status 401"),
        ((404, b"nothing"), "llmauth proxy"),
        ((503, {"error": "x"}), "status 503"),
        ((200, b"<html>"), "status 200"),
        ((200, []), "status 200"),
        ((302, b""), "status 302"),
    ],
)
def test_refusals(proxy: Proxy, told: tuple[int, Any], said: str) -> None:
    proxy.told = told
    with pytest.raises(ProxyFailed) as failed:
        ask(place_of(proxy.url), "GET", "/auth/whoami", Secret("key-1"))
    assert said in str(failed.value)
    assert "\x1b" not in str(failed.value)


def test_over_tls_with_a_ca_of_its_own(tmp_path: Path) -> None:
    with Proxy(tls=("localhost",)) as service:
        place = place_of(service.url)
        assert ask(place, "GET", "/", Secret("k"), ca_file=service.write_ca(tmp_path)) == {"user": "alice"}
        with pytest.raises(ProxyFailed, match="--proxy-ca-file"):
            ask(place, "GET", "/", Secret("k"))
        assert len(service.calls) == 1


def test_in_clear_text_no_credential_leaves_this_network() -> None:
    with pytest.raises(ProxyFailed, match="https://"):
        ask(place_of("http://9.9.9.9:8080"), "GET", "/auth/whoami", Secret("k"))
