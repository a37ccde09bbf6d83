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

from llmauth.cli.meant import sound_key_for
from llmauth.cli.proxy import SERVICE, ProxyFailed, ProxyPlace, ask, place_of
from llmauth.clients import joined
from llmauth.clients.joined import Joined
from llmauth.credentials import entries
from llmauth.errors import RateLimited, Unavailable, UnknownRequest
from llmauth.secrets import Secret

Request = Mapping[str, Any]

_USED = ("HTTPS_PROXY", "https_proxy")
_PATH = "/auth/requests"
# So many are told at once.
_MOST = 100
_MOST_PAGES = 200
_BUSY = (RateLimited.code, Unavailable.code)
_TRIES = 4
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
        newest = _requests(self._ask(limit=min(limit, _MOST)))
        if limit <= _MOST or len(newest) < _MOST:
            return _only(newest, user)
        running = [one for one in newest if one.get("running")]
        every = {one.get("request_id"): one for one in (*running, *self._over())}
        return _only(sorted(every.values(), key=_at)[-limit:], user)

    def _over(self) -> Iterator[Request]:
        """All that it remembers, from the beginning, as much at a time as it tells."""
        cursor = ""
        for _ in range(_MOST_PAGES):
            told = self._ask(limit=_MOST, after=cursor)
            if not (page := _requests(told)):
                return
            yield from page
            cursor = told["cursor"]

    def find(self, name: str) -> Sequence[Request]:
        try:
            told = self._get(f"{_PATH}/{quote(name, safe='')}")
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
        told = self._get(path)
        if not isinstance(told.get("requests"), list) or not isinstance(told.get("cursor"), str):
            raise ProxyFailed(f"the proxy answered {_PATH} with something else; is it of this version?")
        return told

    def _get(self, path: str) -> Mapping[str, Any]:
        """It answers one question of a user at a time; another command of ours may have asked just now."""
        for left in reversed(range(_TRIES)):
            try:
                return ask(self.place, "GET", path, self.credential, ca_file=self.ca_file)
            except ProxyFailed as failure:
                if failure.code not in _BUSY or not left:
                    raise
            time.sleep(_SOON)
        raise AssertionError


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
    credential = (
        sound_key_for(place, os.environ) or place.password or (_saved(place) if known is None else _session(known))
    )
    if credential is None:
        raise ValueError("There is no credential: set LLMAUTH_KEY, or run: llmauth join, or llmauth login")
    trusted = ca_file or (joined.trusted(known, os.environ) if known is not None else None)
    return There(place=place, credential=credential, ca_file=trusted)


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


def _at(one: Request) -> float:
    at = one.get("at")
    return at if isinstance(at, int | float) else 0.0
