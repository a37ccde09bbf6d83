"""Where commands find what became of requests: at the proxies that run here, at the one joined, in the record."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Protocol
from urllib.parse import quote, urlencode

import typer

from llmauth.cli.proxy import SERVICE, ProxyFailed, ProxyPlace, ask, place_of
from llmauth.cli.waiting import waiting
from llmauth.clients import joined
from llmauth.clients.joined import Joined
from llmauth.control.client import ControlFailed, ask_all, ask_one
from llmauth.control.place import folder_of, sockets
from llmauth.credentials import entries
from llmauth.hindsight.facts import newest_last
from llmauth.hindsight.memory import REQUEST_UNKNOWN, shortener
from llmauth.hindsight.records import NOT_KEPT, Records
from llmauth.secrets import Secret
from llmauth.storage.home import StateError, state_folder

Request = Mapping[str, Any]

_NAMED, _USED = "LLMAUTH_PROXY", ("HTTPS_PROXY", "https_proxy")
_PATH = "/auth/requests"
_LOOK_FOR_OTHERS = 0.5
# A proxy far away is asked again so soon after something was over, and later and later while nothing is.
_SOON, _SELDOM = 1.0, 5.0


class Past(Protocol):
    """One place that knows of requests; `name` says which to people."""

    @property
    def name(self) -> str: ...

    def recent(self, limit: int, user: str | None) -> Sequence[Request]:
        """The last ones, the oldest first. ProxyFailed or ControlFailed where it cannot be asked."""
        ...

    def find(self, name: str) -> Sequence[Request]:
        """Every request that an id means; the same failures."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Here:
    """The proxies that run on a state folder."""

    home: Path
    name: str = "the proxy that runs here"

    def recent(self, limit: int, user: str | None) -> Sequence[Request]:
        question = {"ask": "recent", "limit": limit, **({} if user is None else {"of": user})}
        return newest_last(ask_all(self.home, question))[-limit:]

    def find(self, name: str) -> Sequence[Request]:
        return newest_last(ask_all(self.home, {"ask": "explain", "id": name}))

    def follow(self, user: str | None) -> Iterator[Request]:
        """Each request when it is over, for ever; of processes that come later as well."""
        told: SimpleQueue[Request] = SimpleQueue()
        followed: set[str] = set()
        first = True
        while True:
            for number, file in sockets(folder_of(self.home)):
                if file.name not in followed:
                    followed.add(file.name)
                    begin: dict[str, int] | None = None if first else {}
                    Thread(
                        target=_follow_one, args=(number, file, begin, user, told), name=f"follow {number}", daemon=True
                    ).start()
            first, until = False, time.monotonic() + _LOOK_FOR_OTHERS
            while (left := until - time.monotonic()) > 0:
                yield from _waited(told, left)


def _waited(told: SimpleQueue[Request], seconds: float) -> Iterator[Request]:
    try:
        yield told.get(timeout=seconds)
    except Empty:
        return


def _follow_one(
    number: int, file: Path, cursor: dict[str, int] | None, user: str | None, told: SimpleQueue[Request]
) -> None:
    """Until its process has ended. One that was there before is not asked for what was over then."""
    try:
        if cursor is None:
            begun = ask_one(number, file, {"ask": "recent", "limit": 0})
            cursor = {} if begun is None else {begun["run"]: begun["last"]}
        question = {"ask": "follow", **({} if user is None else {"of": user})}
        while (answer := ask_one(number, file, {**question, "cursor": cursor})) is not None:
            cursor = {answer["run"]: answer["last"]}
            for one in answer["requests"]:
                told.put(one)
    except (ControlFailed, KeyError):
        return


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
        return _only(self._ask(limit=limit)["requests"], user)

    def find(self, name: str) -> Sequence[Request]:
        try:
            told = ask(self.place, "GET", f"{_PATH}/{quote(name, safe='')}", self.credential, ca_file=self.ca_file)
        except ProxyFailed as failure:
            if failure.code == REQUEST_UNKNOWN:
                return ()
            raise
        return _requests(told)

    def follow(self, user: str | None, sleep: Callable[[float], None] = time.sleep) -> Iterator[Request]:
        """Each request of one's own when it is over, for ever; a second late, and up to five after a silence."""
        cursor, pause = self._ask(limit=1)["cursor"], _SOON
        while True:
            sleep(pause)
            told = self._ask(limit=1000, after=cursor)
            cursor, new = told["cursor"], _requests(told)
            pause = _SOON if new else min(_SELDOM, pause + _SOON)
            yield from _only(new, user)

    def _ask(self, **query: Any) -> Mapping[str, Any]:
        path = f"{_PATH}?{urlencode(query)}"
        told = ask(self.place, "GET", path, self.credential, ca_file=self.ca_file)
        if not isinstance(told.get("requests"), list) or not isinstance(told.get("cursor"), str):
            raise ProxyFailed(f"the proxy answered {_PATH} with something else; is it of this version?")
        return told


def _requests(told: Mapping[str, Any]) -> Sequence[Request]:
    found = told.get("requests")
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else ()


def _only(requests: Sequence[Request], user: str | None) -> Sequence[Request]:
    return [one for one in requests if user in (None, one.get("user"))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """The audit record in a state folder."""

    home: Path

    @property
    def name(self) -> str:
        return f"the audit record in {self.home}"

    def recent(self, limit: int, user: str | None) -> Sequence[Request]:
        with waiting("Reading the audit record"):
            found = Records(self.home).latest(limit, user)
        short = shortener([one["request_id"] for one in found])
        return [{**one, "short": short(one["request_id"])} for one in found]

    def find(self, name: str) -> Sequence[Request]:
        with waiting("Reading the audit record"):
            return Records(self.home).find(name)


def live(proxy: str | None, ca_file: Path | None) -> Here | There | None:
    """The proxies to ask: the one that is named, else those that run here, else the one of HTTPS_PROXY or the one that
    was joined; None where there is none. ValueError for what is no proxy, or where no credential is found."""
    profile = joined.read(os.environ)
    named = proxy or os.environ.get(_NAMED)
    if named is not None:
        return _there(place_of(named), ca_file, profile)
    home = state_folder(os.environ)
    if ask_all(home, {"ask": "recent", "limit": 0}):
        return Here(home=home)
    used = next((os.environ[name] for name in _USED if os.environ.get(name)), None)
    if used is not None:
        with suppress(ValueError):  # it may name any proxy; only one that there is a credential for is asked
            return _there(place_of(used), ca_file, profile)
    return None if profile is None else _there(place_of(profile.url), ca_file, profile)


def _there(place: ProxyPlace, ca_file: Path | None, profile: Joined | None) -> There:
    known = profile if profile is not None and profile.authority == place.authority else None
    session = partial(joined.session, known, os.environ) if known is not None else partial(_saved, place)
    credential = _key() or place.password or session()
    if credential is None:
        raise ValueError("There is no credential: set LLMAUTH_KEY, or run: llmauth join, or llmauth login")
    trusted = ca_file or (joined.trusted(known, os.environ) if known is not None else None)
    return There(place=place, credential=credential, ca_file=trusted)


def _key() -> Secret | None:
    key = os.environ.get("LLMAUTH_KEY")
    if key and not (key.isascii() and key.isprintable()):
        raise ValueError("LLMAUTH_KEY holds what is no key.")
    return Secret(key) if key else None


def _saved(place: ProxyPlace) -> Secret | None:
    """What `llmauth login --save` kept. A machine without a keyring has kept nothing."""
    try:
        return entries.read((SERVICE, f"session@{place.authority}"))
    except entries.KeyringRefused:
        return None


def places(proxy: str | None, ca_file: Path | None) -> list[Past]:
    """Where to ask, in this order. The record is the owner's, so it stands behind no proxy of somebody else."""
    first = live(proxy, ca_file)
    written = Written(home=state_folder(os.environ))
    return [written] if first is None else [first, written] if isinstance(first, Here) else [first]


def failing(error: Exception) -> typer.Exit:
    """Say what went wrong, in a sentence, and end."""
    typer.echo(f"Error: {error}", err=True)
    return typer.Exit(2 if isinstance(error, ValueError) else 1)


FAILURES = (ValueError, ProxyFailed, ControlFailed, StateError, entries.KeyringRefused)
"""Why nobody could be asked."""


def of_record(requests: Sequence[Request]) -> str | None:
    """What is to be said of requests that only the record tells."""
    recorded = any("recorded" in one for one in requests)
    return f"From the audit record, which does not keep: {NOT_KEPT}." if recorded else None
