"""A key that one proxy has lent is shown to that one alone."""

from __future__ import annotations

import pytest

from llmauth.cli.meant import key_for, sound_key_for
from llmauth.cli.proxy import place_of
from llmauth.secrets import Secret


@pytest.mark.parametrize(
    ("named", "meant"),
    [
        (None, True),
        ("", True),
        ("https://proxy.corp:8443", True),
        ("https://me:other@PROXY.corp:8443/", True),
        ("http://proxy.corp:8443", False),
        ("https://proxy.corp", False),
        ("https://stranger.example:8443", False),
        ("no address", False),
    ],
)
def test_for_which_proxy_it_is(named: str | None, meant: bool) -> None:
    environ = {"LLMAUTH_KEY": "llmauth_k", **({} if named is None else {"LLMAUTH_PROXY": named})}
    assert key_for(place_of("https://proxy.corp:8443"), environ) == (Secret("llmauth_k") if meant else None)


def test_none() -> None:
    assert key_for(place_of("https://proxy.corp:8443"), {"LLMAUTH_KEY": ""}) is None


def test_a_key_that_could_not_be_sent_is_named_and_not_repeated() -> None:
    with pytest.raises(ValueError, match="LLMAUTH_KEY holds what is no key") as caught:
        sound_key_for(place_of("http://127.0.0.1:8080"), {"LLMAUTH_KEY": "llmauth_a\nb"})
    assert "llmauth_a" not in str(caught.value)
    assert sound_key_for(place_of("http://127.0.0.1:8080"), {}) is None
