"""Where commands find what became of requests: at the proxies that run here, at one elsewhere, in the record."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Protocol

import typer

from llmauth.cli.proxy import ProxyFailed
from llmauth.cli.waiting import waiting
from llmauth.control.client import ControlFailed, ask_all, ask_one
from llmauth.control.place import folder_of, sockets
from llmauth.hindsight.ids import newest_last, shortener
from llmauth.hindsight.records import NOT_KEPT, Records
from llmauth.storage.home import StateError, state_folder

Request = Mapping[str, Any]

NAMED = "LLMAUTH_PROXY"
_LOOK_FOR_OTHERS = 0.5


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


class Live(Past, Protocol):
    """One that hears of what is over now."""

    def follow(self, user: str | None) -> Iterator[Request]:
        """Each request when it is over, for ever; the same failures."""
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


def live(proxy: str | None, ca_file: Path | None) -> Live | None:
    """The proxies to ask: the one that is named, else those that run here, else the one of HTTPS_PROXY or the one that
    was joined; None where there is none. ValueError for what is no proxy, or where no credential is found."""
    home = state_folder(os.environ)
    if proxy is None and not os.environ.get(NAMED) and ask_all(home, {"ask": "recent", "limit": 0}):
        return Here(home=home)
    from llmauth.cli import afar  # what it needs takes twice the time of all else, and is seldom wanted

    return afar.found(proxy or os.environ.get(NAMED), ca_file)


def places(proxy: str | None, ca_file: Path | None) -> list[Past]:
    """Where to ask, in this order. The record is the owner's, so it stands behind no proxy of somebody else."""
    first = live(proxy, ca_file)
    written = Written(home=state_folder(os.environ))
    return [written] if first is None else [first, written] if isinstance(first, Here) else [first]


def failing(error: Exception) -> typer.Exit:
    """Say what went wrong, in a sentence, and end."""
    typer.echo(f"Error: {error}", err=True)
    return typer.Exit(2 if isinstance(error, ValueError) else 1)


FAILURES = (ValueError, ProxyFailed, ControlFailed, StateError)
"""Why nobody could be asked."""


def of_record(requests: Sequence[Request]) -> str | None:
    """What is to be said of requests that only the record tells."""
    recorded = any("recorded" in one for one in requests)
    return f"From the audit record, which does not keep: {NOT_KEPT}." if recorded else None
