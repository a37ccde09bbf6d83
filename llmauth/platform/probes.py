"""Whose metadata service answers on this machine: asked once, of all clouds at a time, and only where it matters."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection
from urllib.parse import urlsplit

from llmauth.platform import Cloud
from llmauth.platform.questions import MOST, QUESTIONS

log = logging.getLogger(__name__)

# By address: a resolver may hang as well. Four clouds share it, and tell themselves apart by what they answer to.
METADATA = "http://169.254.169.254"

CONNECT_TIMEOUT = 0.3
READ_TIMEOUT = 1.0
IN_ALL = 1.5

KEPT = 60.0
# The metadata server of GKE needs some seconds after a pod's start, and refuses or is silent until then.
KEPT_WHILE_YOUNG = 5.0
YOUNG = 60.0

# IBM's is off unless an instance was made with it, and asking makes it issue a token: only who needs it asks it.
_TOGETHER: tuple[Cloud, ...] = ("aws", "azure", "gcp", "oci")


class Probes:
    """The answers, remembered: that a service is there for ever, that it is not for a minute.

    `in_kubernetes` keeps that it is not for 5 s only, in the first minute of the process. `endpoints` are base URLs
    in the place of the clouds' own. May be asked by any number of threads; blocks for 1.5 s at most, so whoever asks
    does so beside the event loop. No proxy is ever asked, whatever the environment says.
    """

    def __init__(
        self,
        *,
        in_kubernetes: bool = False,
        endpoints: Mapping[Cloud, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._endpoints = endpoints or {}
        self._clock = clock
        self._young_until = clock() + YOUNG if in_kubernetes else float("-inf")
        self._lock = threading.Lock()
        self._probes: dict[Cloud, _Probe] = {}

    def answers(self, cloud: Cloud) -> bool:
        """Whether this machine is of that cloud, by its metadata service."""
        with self._lock:
            self._ask(cloud)
            probe = self._probes[cloud]
        return probe.outcome()

    def _ask(self, cloud: Cloud) -> None:
        """Start what is due; the others with it, so that whoever asks for the next cloud need not wait anew."""
        is_known = any(probe.found for probe in self._probes.values())
        for one in (cloud, *(() if is_known else _TOGETHER)):
            if self._is_due(one):
                self._probes[one] = _Probe(one, self._endpoints.get(one, METADATA), self._clock())
                self._probes[one].start()

    def _is_due(self, cloud: Cloud) -> bool:
        last = self._probes.get(cloud)
        if last is None:
            return True
        if last.found or not last.done.is_set():
            return False
        kept = KEPT_WHILE_YOUNG if last.asked_at < self._young_until else KEPT
        return self._clock() - last.asked_at >= kept


@dataclass(slots=True)
class _Probe:
    """One question to one service, in a thread that keeps no process from ending."""

    cloud: Cloud
    base: str
    asked_at: float
    found: bool = False
    done: threading.Event = field(default_factory=threading.Event)
    ends: float = field(default_factory=lambda: time.monotonic() + IN_ALL)
    connection: HTTPConnection | None = None

    def start(self) -> None:
        try:
            threading.Thread(target=self._run, name="metadata probe", daemon=True).start()
        except RuntimeError:  # the machine has no more threads to give
            self.done.set()

    def outcome(self) -> bool:
        """What it found, once it is known, or when its time is over."""
        if not self.done.wait(max(0.0, self.ends - time.monotonic())):
            self._give_up()
        return self.found

    def _run(self) -> None:
        try:
            self.found = self._asked()
        # Whatever listens there may send whatever it likes, and each reader of it has errors of its own.
        except Exception as error:
            log.debug("No metadata service answered", extra={"cloud": self.cloud, "error": type(error).__name__})
        finally:
            self.done.set()

    def _asked(self) -> bool:
        url, question = urlsplit(self.base), QUESTIONS[self.cloud]
        if url.scheme != "http" or not url.hostname:
            raise ValueError("a metadata service is asked at http://host:port")
        connection = self.connection = HTTPConnection(url.hostname, url.port, timeout=CONNECT_TIMEOUT)
        with contextlib.closing(connection):
            connection.connect()
            connection.sock.settimeout(READ_TIMEOUT)
            target = url.path.rstrip("/") + question.path
            connection.request(question.method, target, question.body, dict(question.fields))
            answer = connection.getresponse()
            # Into a place of its size: `read` takes a chunk of a negative size for all that comes.
            body = bytearray(MOST)
            got = answer.readinto(body)
            return question.is_answered(answer.status, answer.headers, bytes(body[:got]))

    def _give_up(self) -> None:
        """End a conversation in which each byte comes in time and the last one never does."""
        sock = self.connection.sock if self.connection is not None else None
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
