"""What a proxy elsewhere tells of one's own requests, and which one that is: named, or joined."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from llmauth.cli.proxy import SERVICE, ProxyFailed, ProxyPlace, ask, place_of
from llmauth.clients import joined
from llmauth.clients.joined import Joined
from llmauth.credentials import entries
from llmauth.errors import UnknownRequest
from llmauth.secrets import Secret

Request = Mapping[str, Any]

_USED = ("HTTPS_PROXY", "https_proxy")
_PATH = "/auth/requests"
_MOST = 1000
# It is asked again so soon after something was over, and later and later while nothing is.
_SOON, _SELDOM = 1.0, 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class There:
    """A proxy that is asked over HTTP, which tells a caller of its own requests alone."""

    place: ProxyPlace
    credential: Secret
    ca_file: Path | None

    @property
    def name(self) -> str:
        return f"the proxy at {self.place.url}"

    def recent(self, limit: int, user: str | None) -> Sequence[Request]:
        return _only(_requests(self._ask(limit=limit)), user)

    def find(self, name: str) -> Sequence[Request]:
        try:
            told = ask(self.place, "GET", f"{_PATH}/{quote(name, safe='')}", self.credential, ca_file=self.ca_file)
        except ProxyFailed as failure:
            if failure.code == UnknownRequest.code:
                return ()
            raise
        return _requests(told)

    def follow(self, user: str | None, sleep: Callable[[float], None] = time.sleep) -> Iterator[Request]:
        """Each request of one's own when it is over, for ever; a second late, and up to five after a silence."""
        cursor, pause = self._ask(limit=1)["cursor"], _SOON
        while True:
            sleep(pause)
            told = self._ask(limit=_MOST, after=cursor)
            cursor, new = told["cursor"], _requests(told)
            pause = _SOON if new else min(_SELDOM, pause + _SOON)
            yield from _only(new, user)

    def _ask(self, **query: Any) -> Mapping[str, Any]:
        path = f"{_PATH}?{urlencode(query)}"
        told = ask(self.place, "GET", path, self.credential, ca_file=self.ca_file)
        if not isinstance(told.get("requests"), list) or not isinstance(told.get("cursor"), str):
            raise ProxyFailed(f"the proxy answered {_PATH} with something else; is it of this version?")
        return told


def found(named: str | None, ca_file: Path | None) -> There | None:
    """The proxy of this URL, else of HTTPS_PROXY, else the one that was joined; None where there is none.

    ValueError for what is no proxy, or where no credential is found; ProxyFailed for a session that cannot be read.
    """
    profile = joined.read(os.environ)
    if named is not None:
        return _there(place_of(named), ca_file, profile)
    used = next((os.environ[name] for name in _USED if os.environ.get(name)), None)
    if used is not None:
        with suppress(ValueError):  # it may name any proxy; only one that there is a credential for is asked
            return _there(place_of(used), ca_file, profile)
    return None if profile is None else _there(place_of(profile.url), ca_file, profile)


def _there(place: ProxyPlace, ca_file: Path | None, profile: Joined | None) -> There:
    known = profile if profile is not None and profile.authority == place.authority else None
    credential = _key() or place.password or (_saved(place) if known is None else _session(known))
    if credential is None:
        raise ValueError("There is no credential: set LLMAUTH_KEY, or run: llmauth join, or llmauth login")
    trusted = ca_file or (joined.trusted(known, os.environ) if known is not None else None)
    return There(place=place, credential=credential, ca_file=trusted)


def _key() -> Secret | None:
    key = os.environ.get("LLMAUTH_KEY")
    if key and not (key.isascii() and key.isprintable()):
        raise ValueError("LLMAUTH_KEY holds what is no key.")
    return Secret(key) if key else None


def _session(profile: Joined) -> Secret | None:
    try:
        return joined.session(profile, os.environ)
    except entries.KeyringRefused as refusal:
        raise ProxyFailed(f"The session at {profile.authority} cannot be read: {refusal}") from None


def _saved(place: ProxyPlace) -> Secret | None:
    """What `llmauth login --save` kept. A machine without a keyring has kept nothing."""
    with suppress(entries.KeyringRefused):
        return entries.read((SERVICE, f"session@{place.authority}"))
    return None


def _requests(told: Mapping[str, Any]) -> Sequence[Request]:
    given = told.get("requests")
    return [one for one in given if isinstance(one, dict)] if isinstance(given, list) else ()


def _only(requests: Sequence[Request], user: str | None) -> Sequence[Request]:
    return [one for one in requests if user in (None, one.get("user"))]
