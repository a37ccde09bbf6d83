"""LLMAUTH_KEY, and for which proxy it is meant: what one proxy has lent is shown to no other."""

from __future__ import annotations

from collections.abc import Mapping

from llmauth.cli.proxy import ProxyPlace, place_of
from llmauth.secrets import Secret

PROXY, KEY = "LLMAUTH_PROXY", "LLMAUTH_KEY"


def key_for(place: ProxyPlace, environ: Mapping[str, str]) -> Secret | None:
    """The key in the environment, where LLMAUTH_PROXY beside it names this place, or nothing; else None.

    `llmauth run` sets both for its command.
    """
    key, named = environ.get(KEY), environ.get(PROXY)
    return Secret(key) if key and (not named or _same(named, place)) else None


def sound_key_for(place: ProxyPlace, environ: Mapping[str, str]) -> Secret | None:
    """The same; ValueError, which does not repeat it, for one that could not be sent."""
    key = key_for(place, environ)
    if key is not None and not (key.reveal().isascii() and key.reveal().isprintable()):
        raise ValueError("LLMAUTH_KEY holds what is no key.")
    return key


def _same(named: str, place: ProxyPlace) -> bool:
    try:
        return place_of(named).url.lower() == place.url.lower()
    except ValueError:
        return False
