"""What is examined: a configuration, this machine, and the proxies that run on the state folder."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from llmauth import providers
from llmauth.config.settings import Settings
from llmauth.control.client import ControlFailed, ask_one
from llmauth.control.place import folder_of, sockets
from llmauth.gateway.sourcing import outbound_of
from llmauth.outbound import Outbound
from llmauth.platform import Machine
from llmauth.providers.base import ProviderHandler

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A proxy that runs on the state folder, as it told over its control socket."""

    process: int
    host: str
    port: int
    tls_port: int | None
    ca: str  # the SHA-256 of the certificate authority that it signs with
    worker: int | None = None
    runner: int | None = None  # whom it serves alone


Starts = Callable[[], AbstractContextManager[int]]
"""Starts a proxy for the time of a check, and tells the number of its process."""


@dataclass(frozen=True, kw_only=True)
class Patient:
    """Everything here is looked up once, whichever examination asks for it first; all may be asked by any thread."""

    settings: Settings
    machine: Machine
    wall: Callable[[], float] = time.time
    starts: Starts | None = None
    _known: dict[str, Any] = field(default_factory=dict, repr=False)
    _locks: defaultdict[str, threading.Lock] = field(default_factory=lambda: defaultdict(threading.Lock), repr=False)

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment of whoever runs the doctor."""
        return self.machine.environ

    @property
    def handlers(self) -> Mapping[str, ProviderHandler]:
        """Each configured instance."""
        return self.once("handlers", lambda: {n: providers.build(n, one) for n, one in self.settings.instances.items()})

    @property
    def outbound(self) -> Outbound:
        """How providers are reached."""
        return self.once("outbound", partial(outbound_of, self.settings))

    @property
    def running(self) -> Sequence[Running]:
        """The proxies on this state folder that serve everybody; of one that does not answer, nothing is known."""
        home = self.settings.home
        return self.once("running", lambda: [one for one in standing(home) if one.runner is None])

    def once(self, name: str, make: Callable[[], Found]) -> Found:
        """What `make` gave, the first time that it was asked for under this name."""
        with self._locks[name]:
            if name not in self._known:
                self._known[name] = make()
            found: Found = self._known[name]
        return found

    def ask(self, question: Mapping[str, Any]) -> dict[str, Any] | None:
        """What the first of them answers; None where none runs, or it does not know the question."""
        return asked(self.settings.home, self.running[0].process, question) if self.running else None


def standing(home: Path) -> Sequence[Running]:
    """Every proxy on a state folder, those that serve one command alone among them."""
    numbers = [number for number, _ in sockets(folder_of(home))]
    told = (asked(home, number, {"ask": "standing"}) for number in numbers)
    return [_running(one) for one in told if one is not None]


def asked(home: Path, process: int, question: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the proxy of this process answers; None where it does not run, or does not know the question."""
    for number, file in sockets(folder_of(home)):
        if number == process:
            try:
                return ask_one(number, file, question)
            except ControlFailed:
                return None
    return None


def _running(told: Mapping[str, Any]) -> Running:
    names = ("process", "host", "port", "tls_port", "ca", "runner")
    return Running(worker=told.get("worker"), **{name: told[name] for name in names})
