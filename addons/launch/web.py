"""mitmweb's page beside a gateway: where it may stand, who is told its token, and how it is opened and closed."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import tornado.httpserver
from mitmproxy.master import Master
from mitmproxy.tools.web.webaddons import WebAuth

from addons.exchange import Exchanges
from addons.launch.ending import refuse_to_start
from addons.launch.listeners import unopened
from addons.report import Report
from addons.viewing import page
from addons.viewing.listed import Listed
from addons.viewing.page import Behind, Page, Password
from addons.viewing.shown import Shown
from llmauth.config.settings import Settings

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"
PORT = 8081
TOKEN_FILE = "web-token"
_WARNING = "The page shows the prompts and answers of every caller; it is for debugging"


def viewer(chain: Iterable[Any], listed: Listed, exchanges: Exchanges) -> Shown:
    """The addon that stands behind this chain and fills the list."""
    shown = Shown(listed, exchanges)
    next(addon for addon in chain if isinstance(addon, Report)).tell_also(shown.tell)
    return shown


def opened(made: Page, host: str, port: int, option: str) -> tornado.httpserver.HTTPServer:
    """Listen there; ListenFailed when the port cannot be had. `option` is what it is called by who chose it."""
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise unopened(host, port, error, option) from None
    listener.setblocking(False)
    answering = page.server(made)
    answering.add_sockets([listener])
    return answering


class Web:
    """The page of `llmauth serve --web`, for one life of a gateway."""

    def __init__(self, settings: Settings, port: int) -> None:
        self.port = port
        self.listed = Listed()
        self._file = settings.home / TOKEN_FILE
        self._password = Password()
        self._server: tornado.httpserver.HTTPServer | None = None

    def chain(self, chain: Callable[..., Sequence[Any]]) -> Callable[..., Sequence[Any]]:
        """The same chain, watched."""

        def watched(gateway: Any, exchanges: Exchanges) -> Sequence[Any]:
            addons = chain(gateway, exchanges)
            return [*addons, viewer(addons, self.listed, exchanges)]

        return watched

    def open(self, behind: Behind) -> None:
        """Open the page and tell where it is; ListenFailed when its port cannot be had."""
        self._server = opened(Page(behind, self.listed, self.port, self._password), HOST, self.port, "--web-port")
        address = f"http://{HOST}:{self.port}/"
        logger.warning(_WARNING)
        if _is_terminal():
            print(f"Flows are shown at {address}?token={self._password.text}", file=sys.stderr, flush=True)  # noqa: T201
            return
        _write(self._file, f"{address}?token={self._password.text}\n")
        logger.info("Flows are shown at %s; its address with the token is in %s", address, self._file)

    def close(self) -> None:
        """The page goes before its process, and its token with it."""
        if self._server is None:
            return
        page.end([self._server])
        self._server = None
        self._file.unlink(missing_ok=True)


class WebOfMitmweb:
    """The same page in the place of mitmweb's own, which edits, replays and uploads, and shows the flows themselves."""

    def __init__(self, master: Master) -> None:
        self._master = master
        self._listed = Listed()

    def take_over(self, auth: WebAuth, chain: Iterable[Any], exchanges: Exchanges) -> Shown:
        """Have this page opened where that would be, with its password; the addon that fills it."""
        options, is_password = self._master.options, page.guarded(auth.is_valid_password)
        made = Page(cast(Behind, self._master), self._listed, options.web_port, is_password)

        async def running() -> None:
            try:
                opened(made, options.web_host, options.web_port, "web_port")
            except OSError as error:
                refuse_to_start(error)
            await Master.running(self._master)

        self._master.running = running  # type: ignore[method-assign]
        return viewer(chain, self._listed, exchanges)

    def warn(self) -> None:
        """Say what the page shows."""
        logger.warning(_WARNING)


def _is_terminal() -> bool:
    try:
        return sys.stderr.isatty()
    except (OSError, ValueError):
        return False


def _write(file: Path, text: str) -> None:
    """For the owner alone, from its first byte on, and never through a link that somebody left there."""
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened_file:
        opened_file.write(text)
