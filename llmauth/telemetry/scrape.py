"""A port of its own for whoever collects the metrics: `GET /metrics`, and nothing else."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.exposition import ThreadingWSGIServer

logger = logging.getLogger(__name__)

# A scraper that is slow to ask keeps a thread; it gets this long.
_SECONDS = 15


def serve(
    registry: CollectorRegistry,
    port: int,
    host: str,
    *,
    refresh: Callable[[], object] | None,
    settle: Callable[[], None],
) -> WSGIServer:
    """Answer from a thread until `shutdown()`. Raises OSError when the port cannot be had.

    Before each answer that thread calls `refresh`, which may fail, and then `settle`.
    """
    server, _ = start_http_server(port, host, registry)
    metrics = server.get_app()

    def only_metrics(environ: Any, start_response: Any) -> Iterable[bytes]:
        if environ.get("PATH_INFO") == "/metrics" and metrics is not None:
            _try(refresh)
            settle()
            return metrics(environ, start_response)
        start_response("404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
        return [b"Only /metrics is served here.\n"]

    server.set_app(only_metrics)
    handler: Any = server.RequestHandlerClass
    server.RequestHandlerClass = type("ScrapeHandler", (handler,), {"timeout": _SECONDS})
    # The library would print a traceback for each client that leaves early.
    server.handle_error = lambda request, client_address: None  # type: ignore[method-assign]
    return server


def serve_from(listener: socket.socket, render: Callable[[], tuple[bytes, str]]) -> WSGIServer:
    """Answer on a socket that listens already, and that other processes may share; else as `serve`.

    Where `render` fails the answer is a 503.
    """
    listener.setblocking(False)  # of all that see a connection come, one gets it, and the others must not wait for it
    host, port = listener.getsockname()[:2]
    server = _Shared((host, port), _Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    server.server_name, server.server_port = host, port
    server.setup_environ()
    server.set_app(_asking(render))
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server


def _asking(render: Callable[[], tuple[bytes, str]]) -> Any:
    def answer(environ: Any, start_response: Any) -> Iterable[bytes]:
        if environ.get("PATH_INFO") != "/metrics":
            return _say(start_response, "404 Not Found", b"Only /metrics is served here.\n")
        try:
            body, content_type = render()
        except Exception as error:
            logger.warning("The metrics of all workers cannot be had", extra={"error": type(error).__name__})
            return _say(start_response, "503 Service Unavailable", b"The metrics of all workers cannot be had now.\n")
        return _say(start_response, "200 OK", body, content_type)

    return answer


def _say(
    start_response: Any, status: str, body: bytes, content_type: str = "text/plain; charset=utf-8"
) -> Iterable[bytes]:
    start_response(status, [("Content-Type", content_type), ("Content-Length", str(len(body)))])
    return [body]


class _Handler(WSGIRequestHandler):
    timeout = _SECONDS

    def log_message(self, format: str, *args: object) -> None:
        """The access log is that of requests to providers."""


class _Shared(ThreadingWSGIServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Of clients that leave early nothing is to be said."""


def _try(refresh: Callable[[], object] | None) -> None:
    """Old gauges are worth more to a scraper than no answer."""
    try:
        if refresh is not None:
            refresh()
    except Exception:
        logger.exception("The gauges could not be brought up to date")
