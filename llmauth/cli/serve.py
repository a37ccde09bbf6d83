"""`llmauth serve`: the proxy itself."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path
from typing import Annotated

import typer

from llmauth.config.settings import read_settings
from llmauth.telemetry import logs

# mitmproxy writes the secrets of every TLS session where these point, and reads them when it is imported.
_LEAKS = ("SSLKEYLOGFILE", "MITMPROXY_SSLKEYLOGFILE")

_STARTED = time.monotonic()
MOST_WORKERS = 64

app = typer.Typer(help="Run the proxy.", add_completion=False, pretty_exceptions_enable=False)

ConfigOption = Annotated[
    list[Path] | None, typer.Option("--config", help="A configuration file; several are merged. Or LLMAUTH_CONFIG.")
]


@app.command()
def serve(
    config: ConfigOption = None,
    host: Annotated[str | None, typer.Option(help="Listen address, before PORT and file.")] = None,
    port: Annotated[int | None, typer.Option(help="Port of the plain listener.")] = None,
    tls_port: Annotated[int | None, typer.Option(help="Port of the TLS listener.")] = None,
    workers: Annotated[int, typer.Option(min=1, max=MOST_WORKERS, help="Processes that serve on these ports.")] = 1,
) -> None:
    """Run the proxy until SIGTERM, which drains it."""
    overrides = {"server.host": host, "server.port": port, "server.tls_port": tls_port}
    said = {name: value for name, value in overrides.items() if value is not None}
    settings = read_settings(config or [], os.environ, said)
    logs.configure(settings.log.level, settings.log.format)
    for name in _LEAKS:
        os.environ.pop(name, None)
    # A core file would hold every credential of the process.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0o077)
    if workers == 1:
        from addons.launch.serve import serve as run

        run(settings, os.environ, _STARTED, overrides=said)
        return
    from addons.launch.workers.serve import serve as run_several

    raise typer.Exit(run_several(settings, os.environ, workers, _STARTED, overrides=said))
