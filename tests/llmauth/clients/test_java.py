"""What a JVM is told: its own words first, no credential, and no trust store in the place of the user's."""

from __future__ import annotations

import pytest

from llmauth.clients.java import options
from llmauth.clients.served import ServedProxy

PROXY = ServedProxy(url="http://127.0.0.1:8080")


def made(before: str = "", proxy: ServedProxy = PROXY, store: str = "/t/java.p12", no_proxy: str = "localhost") -> str:
    return options(before, proxy, (store, "changeit"), no_proxy)


def test_way_and_trust() -> None:
    words = made().split()
    assert "-Dhttps.proxyHost=127.0.0.1" in words
    assert "-Dhttps.proxyPort=8080" in words
    assert "-Djdk.http.auth.tunneling.disabledSchemes=" in words
    assert "-Djavax.net.ssl.trustStore=/t/java.p12" in words


@pytest.mark.parametrize(
    ("entry", "patterns"),
    [
        (".corp.example", "corp.example|*.corp.example"),
        ("10.1.2.3", "10.1.2.3"),
        ("10.0.0.0/8", ""),
        ("*.a.example", "a.example|*.a.example"),
    ],
)
def test_exceptions_as_java_writes_them(entry: str, patterns: str) -> None:
    assert f"-Dhttp.nonProxyHosts={patterns}" in made(no_proxy=entry).split()


def test_the_users_own_words_stay_and_his_trust_store_counts() -> None:
    mine = '-Xmx1g -Djavax.net.ssl.trustStore="/my store"'
    assert made(mine).startswith(mine)
    assert made(mine).count("trustStore=") == 1
    assert made(made()) == made()


def test_over_tls_java_knows_no_proxy() -> None:
    assert "proxyHost" not in made(proxy=ServedProxy(url="https://proxy.corp"))


def test_a_blank_in_the_path() -> None:
    assert '-Djavax.net.ssl.trustStore="/a b/java.p12"' in made(store="/a b/java.p12")
