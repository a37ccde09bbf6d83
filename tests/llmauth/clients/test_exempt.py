"""Who is reached without the proxy."""

from __future__ import annotations

import pytest

from llmauth.clients.exempt import entries, leads_around, leads_to
from llmauth.clients.served import ServedProxy
from tests.llmauth.clients.conftest import INSTANCES, Made

PROXY = ServedProxy(url="http://127.0.0.1:8080", instances=INSTANCES)


@pytest.mark.parametrize(
    ("entry", "around"),
    [("*", True), (".openai.com", True), ("com", True), ("openai.com:443", True), ("corp", False), ("[::1]:8", False)],
)
def test_an_exception_that_covers_a_provider(entry: str, around: bool) -> None:
    assert leads_around(entry, PROXY) is around


@pytest.mark.parametrize(
    ("url", "ours"),
    [
        ("http://localhost:8080/x", True),
        ("http://127.0.0.1:8080", True),
        ("http://127.0.0.1:8081", False),
        ("https://api.openai.com/v1", False),
        ("http://127.0.0.1:99999", False),
        ("nonsense", False),
    ],
)
def test_a_base_url_of_our_own(url: str, ours: bool) -> None:
    assert leads_to(url, PROXY) is ours


def test_both_spellings_count_with_blanks_or_commas() -> None:
    assert list(entries({"NO_PROXY": "a, b", "no_proxy": "c d"})) == ["a", "b", "c", "d"]


def test_a_proxy_elsewhere_is_reached_without_itself(made: Made) -> None:
    assert "proxy.corp" in made(url="https://proxy.corp:8443")["NO_PROXY"].split(",")
