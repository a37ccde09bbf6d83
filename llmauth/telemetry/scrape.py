"""A port of its own for whoever collects the metrics: `GET /metrics`, and nothing else."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, start_http_server

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


def _try(refresh: Callable[[], object] | None) -> None:
    """Old gauges are worth more to a scraper than no answer."""
    try:
        if refresh is not None:
            refresh()
    except Exception:
        logger.exception("The gauges could not be brought up to date")
