"""What every emulated service shares: a server on loopback, strict reading, a record of its calls, faults on demand."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import parse_qs, urlsplit

from llmauth.demo.certificates import Authority, Certificate, server_context

Fault = Literal["slow", "garbage", "refuse", "broken"]
"""`slow` accepts and never answers, `garbage` answers 200 with no sense in it, `refuse` answers as to somebody who may
not, `broken` answers 500. A service that is down is one that was stopped."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request, as it came; header names in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """The path as it stands on the wire."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> Mapping[str, str]:
        """The query, decoded; a name that comes twice keeps its first value."""
        pairs = parse_qs(urlsplit(self.target).query, keep_blank_values=True)
        return {name: values[0] for name, values in pairs.items()}

    @property
    def form(self) -> Mapping[str, str]:
        """The body as a form."""
        return {name: values[0] for name, values in parse_qs(self.body.decode(), keep_blank_values=True).items()}

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def bearer(self) -> str | None:
        """The token of its `Authorization: Bearer`, if it has one."""
        kind, _, token = self.headers.get("authorization", "").partition(" ")
        return token if kind == "Bearer" else None


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer; a body that is no bytes is sent as JSON."""

    status: int = 200
    body: Any = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Service:
    """One emulated service. `with VaultEmulator() as vault:` starts it; a subclass answers in `answer`.

    `tls` names the hosts of its certificate, which `authority` signed; without it, it speaks clear text. `calls` is
    every request in its order. `fault` may be set at any moment; `stop` and `start` on the same port make an outage.
    """

    def __init__(self, *, tls: Sequence[str] = (), authority: Authority | None = None) -> None:
        self.authority = authority or (Authority.create() if tls else None)
        self.calls: list[Call] = []
        self.fault: Fault | None = None
        self.port = 0
        self._names = tuple(tls)
        self._server: ThreadingHTTPServer | None = None
        self._stopping = threading.Event()

    def answer(self, call: Call) -> Reply:
        """What this service says to a call."""
        raise NotImplementedError

    def refusal(self, call: Call) -> Reply:
        """What it says to somebody who may not."""
        return Reply(403, {"error": "forbidden"})

    @property
    def url(self) -> str:
        """Its address, as a client would write it."""
        return f"https://{self._names[0]}:{self.port}" if self._names else f"http://127.0.0.1:{self.port}"

    @property
    def pem(self) -> str:
        """The certificate that its clients have to believe."""
        assert self.authority is not None
        return self.authority.pem.decode()

    def write_ca(self, folder: Path) -> Path:
        """The same, in a file."""
        file = folder / f"ca-{self.port}.pem"
        file.write_text(self.pem)
        return file

    def start(self) -> Self:
        """Listen; after a `stop`, on the port that it had."""
        self._stopping.clear()
        self._server = _Server(("127.0.0.1", self.port), _handler(self))
        if self._names:
            assert self.authority is not None
            context = server_context(self.authority, self._names, Certificate.VALID)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def stop(self) -> None:
        """Close the port, and whatever waits for a slow answer."""
        self._stopping.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _reply(self, call: Call) -> Reply | None:
        self.calls.append(call)
        if self.fault == "slow":
            self._stopping.wait(60)
            return None
        if self.fault == "garbage":
            return Reply(200, b"\x00<html>canary-7f3a</html>", {"Content-Type": "text/html"})
        if self.fault == "broken":
            return Reply(500, {"error": "canary-7f3a"})
        return self.refusal(call) if self.fault == "refuse" else self.answer(call)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves, or does not believe our certificate, is no news."""


def _handler(service: Service) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30

        def handle(self) -> None:
            with contextlib.suppress(OSError):
                super().handle()

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = service._reply(Call(self.command, self.path, headers, body))
            if reply is None:
                self.close_connection = True
                return
            content = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            # A service that says who it is says it itself.
            (self.send_response_only if "Server" in reply.headers else self.send_response)(reply.status)
            for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do_PATCH = _serve

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


@contextlib.contextmanager
def dead_port() -> Iterator[int]:
    """A port where nobody listens, kept from being given to somebody else."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def eventually(condition: Any, seconds: float = 5.0) -> None:
    """Wait until a condition holds; AssertionError where it does not in time."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "it did not come true in time"
        time.sleep(0.01)
