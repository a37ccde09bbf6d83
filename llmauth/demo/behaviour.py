"""How the next answers misbehave: a script that a test writes, request by request."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from llmauth.demo.http1 import Field


class Cut(Enum):
    """How a connection ends before its answer does."""

    CLOSE = "close"  # the TLS closing alert, then FIN: the polite way
    FIN = "fin"  # FIN alone, as when a process dies
    RST = "rst"  # a reset


class Framing(Enum):
    """How the end of a body is told."""

    AUTO = "auto"  # Content-Length for a body that is known, chunked for a stream
    LENGTH = "length"
    CHUNKED = "chunked"
    CLOSE = "close"  # by the end of the connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """What one answer does; the default does nothing out of the ordinary. Times are seconds, sizes are bytes of body.

    What the emulator checks (host, credential, shape of the request) it checks all the same.
    """

    # What is said
    status: int | None = None  # 400 and above: the provider's own error of that status; below: replaces the 200
    error: str | None = None  # the provider's name for that error, where it has several for one status
    tokens: int | None = None  # how many the model says
    call_tool: bool = False  # answer with a call of the first tool that was offered
    calls: int = 1  # how many calls that is, unless the request wants one at a time; the tools take turns
    think: bool = False  # think first, where the request lets the model think
    fail_after: int | None = None  # the provider's in-stream error after so many tokens
    body: bytes | None = None  # these bytes instead of the answer's own
    fields: tuple[Field, ...] = ()  # headers added to the answer's own
    gzip: bool = False

    # When it is said
    first_byte_delay: float = 0.0
    chunk_delay: float | None = None  # the pause between tokens, instead of the server's pace
    stall_after: int | None = None  # silence after so many bytes, until the peer goes
    hang: bool = False  # no byte at all

    # How it is framed
    interim: tuple[int, ...] = ()  # 1xx heads before the final one
    trailers: tuple[Field, ...] = ()  # makes the answer chunked
    framing: Framing = Framing.AUTO
    chunk_size: int | None = None  # re-cut the body into pieces of this size

    # How it ends
    cut_after: int | None = None  # the connection ends after so many bytes; 0 is right after the head
    cut: Cut = Cut.FIN
    hang_up: bool = False  # a whole answer that promises keep-alive, and then the connection is closed
    raw: bytes | None = None  # these bytes instead of an HTTP answer; the connection ends after them
    stays: bool = False  # or it does not, and the next request may come
    early: bool = False  # answer at the head, before the body is in, then close


ORDINARY = Behaviour()


class Script:
    """Behaviours waiting for the requests they apply to. Any thread may write, the server's reads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._scenes: list[_Scene] = []

    def add(self, host: str, behaviour: Behaviour, times: int | None, path: str) -> None:
        """Apply `behaviour` to the next `times` requests (`None`: to all) of `host` whose path starts with `path`."""
        with self._lock:
            self._scenes.append(_Scene(host, behaviour, times, path.encode()))

    def clear(self) -> None:
        """Forget what has not been played."""
        with self._lock:
            self._scenes.clear()

    def take(self, host: str, target: bytes) -> Behaviour:
        """The behaviour for a request that is being answered now."""
        return self._find(host, target, lambda scene: True)

    def take_early(self, host: str, target: bytes) -> Behaviour | None:
        """The behaviour for a request whose body is not in yet, if it wants to answer already."""
        found = self._find(host, target, lambda scene: scene.behaviour.early)
        return found if found is not ORDINARY else None

    def _find(self, host: str, target: bytes, wanted: Callable[[_Scene], bool]) -> Behaviour:
        if not self._scenes:
            return ORDINARY
        with self._lock:
            for scene in self._scenes:
                if scene.host == host and target.startswith(scene.path):
                    return self._play(scene) if wanted(scene) else ORDINARY
        return ORDINARY

    def _play(self, scene: _Scene) -> Behaviour:
        if scene.times is not None:
            scene.times -= 1
            if scene.times <= 0:
                self._scenes.remove(scene)
        return scene.behaviour


@dataclass(slots=True)
class _Scene:
    host: str
    behaviour: Behaviour
    times: int | None
    path: bytes
