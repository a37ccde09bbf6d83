"""The proxy that `llmauth run` starts for one command: as `llmauth serve`, on loopback, and gone with who started it.

A program of its own: `python -P -m llmauth.cli.own_proxy DESCRIPTOR [FILE]…`. It takes a free port, and writes it to
that descriptor once it listens. It lives as long as its standard input; what is written there are paths of folders, and
ids of sessions, which are taken away where nobody else did.
"""

from __future__ import annotations

import dataclasses
import os
import resource
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from llmauth.config.settings import Settings, read_settings
from llmauth.config.stores import open_store
from llmauth.storage.home import StateError
from llmauth.telemetry import logs

_LEAKS = ("SSLKEYLOGFILE", "MITMPROXY_SSLKEYLOGFILE")


def settings_for(port: int, files: Sequence[Path], environ: Mapping[str, str]) -> Settings:
    """The user's configuration, with the one door that is wanted here. ConfigError."""
    door: dict[str, object] = {"server.host": "127.0.0.1", "server.port": port}
    settings = read_settings(files, environ, door)
    if settings.upstream.proxy is None:
        settings = read_settings(files, environ, {**door, **outside(environ)})
    # What answers to others may be another server's already, and what is streamed ends with the command.
    server = settings.server.model_copy(update={"tls_cert_file": None, "tls_key_file": None, "drain_timeout": 2.0})
    return dataclasses.replace(settings, server=server, metrics=None)


def outside(environ: Mapping[str, str]) -> Mapping[str, object]:
    """The company's proxy as `llmauth run` found it in its user's variables: overrides of the configuration."""
    url = environ.get("LLMAUTH_OUTSIDE_PROXY", "")
    no_proxy = environ.get("LLMAUTH_OUTSIDE_NO_PROXY", "")
    return {"upstream.proxy.url": url, "upstream.proxy.no_proxy": no_proxy} if url else {}


def main(words: Sequence[str]) -> int:
    """Serve until standard input ends, or a signal comes."""
    started = time.monotonic()
    from llmauth.config.failures import explained

    try:
        port = free_port()
        settings = settings_for(port, [Path(word) for word in words[1:]], os.environ)
        logs.configure(settings.log.level, "console")
        for name in _LEAKS:
            os.environ.pop(name, None)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.umask(0o077)
        threading.Thread(target=_follow, args=(settings,), daemon=True).start()

        from addons.launch.serve import serve

        serve(settings, os.environ, started, Teller(port, int(words[0])))
    except Exception as error:
        code, text = explained(error)
        sys.stderr.write(f"{text}\n")
        return code
    return 0


class Teller:
    """Beside the gateway: writes the port to a descriptor as soon as this process listens on it, and not before, since
    until then somebody else might."""

    def __init__(self, port: int, descriptor: int) -> None:
        self.port = port
        self._descriptor = descriptor

    def chain(self, chain: Callable[..., Sequence[Any]]) -> Callable[..., Sequence[Any]]:
        """The same chain, and what hears when it runs."""
        return lambda gateway, exchanges: [*chain(gateway, exchanges), self]

    def running(self) -> None:
        """The listeners are open."""
        with open(self._descriptor, "wb") as told:
            told.write(b"%d\n" % self.port)

    def open(self, _: object) -> None:
        """Nothing is shown."""

    def close(self) -> None:
        """Nothing was."""


def free_port() -> int:
    """One of loopback that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _follow(settings: Settings) -> None:
    """Read what is to be taken away until whoever started us has ended, and then end in order."""
    left = [line.strip() for line in sys.stdin]
    for entry in left:
        if entry.startswith("/"):
            shutil.rmtree(entry, ignore_errors=True)
        elif entry:
            _take_back(settings, entry)
    os.kill(os.getpid(), signal.SIGTERM)


def _take_back(settings: Settings, session: str) -> None:
    with suppress(StateError):
        store = open_store(settings)
        try:
            store.close_session(session)
        finally:
            store.close()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
