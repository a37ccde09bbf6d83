"""`llmauth serve`: the proxy itself."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from llmauth.addresses import is_loopback
from llmauth.cli.waiting import waiting
from llmauth.config.settings import Settings, read_settings
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
    web: Annotated[bool, typer.Option("--web", help="Show what passes on a page beside it, for debugging.")] = False,
    web_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of that page.")] = 8081,
    web_in_pod: Annotated[bool, typer.Option("--web-in-pod", help="Show it inside Kubernetes as well.")] = False,
) -> None:
    """Run the proxy until SIGTERM, which drains it."""
    overrides = {"server.host": host, "server.port": port, "server.tls_port": tls_port}
    said = {name: value for name, value in overrides.items() if value is not None}
    settings = read_settings(config or [], os.environ, said)
    if web:
        _require_privacy(settings, os.environ, workers, in_pod=web_in_pod)
    logs.configure(settings.log.level, settings.log.format)
    for name in _LEAKS:
        os.environ.pop(name, None)
    # A core file would hold every credential of the process.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0o077)
    if workers == 1:
        with waiting("Starting"):
            from addons.launch.serve import serve as run

        run(settings, os.environ, _STARTED, *([_page(settings, web_port)] if web else []), overrides=said)
        return
    with waiting("Starting"):
        from addons.launch.workers.serve import serve as run_several

    raise typer.Exit(run_several(settings, os.environ, workers, _STARTED, overrides=said))


def _page(settings: Settings, port: int) -> Any:
    from addons.launch.web import Web

    return Web(settings, port)


def _require_privacy(settings: Settings, environ: Mapping[str, str], workers: int, *, in_pod: bool) -> None:
    """BadParameter where what passes would be shown to others than whoever sends it, or only a part of it."""
    if workers > 1:
        raise _no_page("it shows the flows of one process, and there would be several. Leave out --workers.")
    if not is_loopback(settings.server.host):
        raise _no_page(
            f"it shows what every caller sends, and server.host ({settings.server.host}) lets other machines in. "
            "Serve on a loopback address, such as --host 127.0.0.1."
        )
    if environ.get("KUBERNETES_SERVICE_HOST") and not in_pod:
        raise _no_page("it shows prompts, and is off inside Kubernetes. Add --web-in-pod where a pod is for debugging.")


def _no_page(why: str) -> typer.BadParameter:
    return typer.BadParameter(why, param_hint="--web")
