"""Loopback stand-ins for the endpoints that AWS strategies ask, and the surroundings that point at them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from llmauth.context import ProviderType
from llmauth.credentials.base import Surroundings
from llmauth.platform import SimulatedMachine
from llmauth.platform.detector import detect


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: str


Answer = tuple[int, str]


@dataclass
class Loopback:
    url: str = ""
    asked: list[Asked] = field(default_factory=list)


Serve = Callable[[Callable[[Asked], Answer]], Loopback]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A factory: a function from what was asked to (status, body) becomes an HTTP server on 127.0.0.1."""
    servers: list[ThreadingHTTPServer] = []

    def start(answer: Callable[[Asked], Answer]) -> Loopback:
        loopback = Loopback()

        class Handler(BaseHTTPRequestHandler):
            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                headers = {name.lower(): value for name, value in self.headers.items()}
                asked = Asked(self.command, self.path, headers, body)
                loopback.asked.append(asked)
                status, text = answer(asked)
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            do_GET = do_PUT = do_POST = _serve

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        loopback.url = f"http://127.0.0.1:{server.server_address[1]}"
        return loopback

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def standing() -> Callable[..., Surroundings]:
    """A factory: surroundings of one instance, its environment and the files of its machine given by name.

    The machine is no cloud's unless it says so: nothing here probes the network.
    """

    def make(
        provider: ProviderType = "bedrock",
        environ: Mapping[str, str] | None = None,
        files: Mapping[str, str] | None = None,
        **more: Any,
    ) -> Surroundings:
        machine = SimulatedMachine(environ or {}, files or {})
        found = detect(machine)
        platform = more.pop("platform", None) or replace(found, settled=found.settled or not found.in_kubernetes)
        instance = more.pop("instance", "one")
        return Surroundings(instance=instance, provider=provider, machine=machine, platform=platform, **more)

    return make
