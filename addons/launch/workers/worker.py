"""One worker: the life of a serving process on the parent's ports, counted and drained by its word."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TextIO, cast
from wsgiref.simple_server import WSGIServer

from addons.launch.listeners import Listeners, renewed
from addons.launch.master import GatewayMaster
from addons.launch.reload import Prepared, Read, Reload
from addons.launch.serve import announce, tell_authority
from addons.launch.verdicts import why_not
from addons.launch.workers.asking import asking
from addons.launch.workers.line import Message, ToParent
from addons.launch.workers.output import WholeLines
from addons.launch.workers.sockets import Doors
from addons.report import Report
from llmauth.config.failures import MISUSED, explained
from llmauth.config.problems import ConfigError
from llmauth.config.settings import Settings
from llmauth.control.server import Control
from llmauth.errors import Unavailable
from llmauth.gateway import Gateway
from llmauth.gateway.seat import Seat
from llmauth.telemetry import logs, scrape, sums

logger = logging.getLogger(__name__)

# What each worker does for itself, and so says for itself. All else at a start was said by the first.
_OWN = ("llmauth.credentials", "llmauth.audit")
_PATIENCE = 3.0
_LAST_WORDS = 1.0


@dataclass(slots=True, kw_only=True)
class Shared:
    """What all workers are made of: read and opened once, by the parent, which forks them. `settings` are those in
    force; `read` reads them again."""

    settings: Callable[[], Settings]
    read: Read
    environ: Mapping[str, str]
    ports: Listeners
    doors: Doors


def work(plan: Shared, seat: Seat, first: bool, line: socket.socket) -> int:
    """Serve until the parent or a signal ends it; the exit status. What keeps the first one from starting is said as
    one process alone would say it."""
    logs.name_worker(seat.worker)
    settings = plan.settings()
    logs.configure(settings.log.level, settings.log.format, cast(TextIO, WholeLines(2)))
    if not first:
        _keep_quiet()
    try:
        asyncio.run(_work(plan, seat, first, line))
    except Exception as error:
        status, sentence = explained(error)
        if first or status == MISUSED:
            print(sentence, file=sys.stderr, flush=True)  # noqa: T201
        else:
            logger.error("This worker cannot serve: %s", sentence)
        return status
    return 0


async def _work(plan: Shared, seat: Seat, first: bool, line: socket.socket) -> None:
    parent = ToParent(line)
    await parent.open()
    gateway = Gateway(plan.settings(), plan.environ, seat=seat)
    control = Control(gateway)
    try:
        plan.doors.take()
        ports = _ports(plan)
        master = GatewayMaster(gateway, ports)
        if first:
            announce(gateway)
        gateway.start()
        reload = Reload(gateway, ports, plan.read, None, master, master.dialer, follow=control.follow)
        post = Post(parent, gateway, master, plan.doors, reload)
        control.reload = post.reload
        await control.open()
        try:
            await post.serve(first)
        finally:
            await post.leave()
    finally:
        await control.close()
        gateway.close()


def _ports(shared: Shared) -> Listeners:
    """With certificate and roots as they are now; one that begins later shows what the others show."""
    try:
        return renewed(shared.ports, shared.settings())
    except (OSError, ConfigError):
        return shared.ports


def _is_new(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR or record.name.startswith(_OWN)


def _keep_quiet() -> None:
    for handler in logging.getLogger().handlers:
        handler.addFilter(_is_new)


def _speak_up() -> None:
    for handler in logging.getLogger().handlers:
        handler.removeFilter(_is_new)


class Post:
    """Does what the parent says, and asks it for what only it knows."""

    def __init__(self, parent: ToParent, gateway: Gateway, master: GatewayMaster, doors: Doors, reload: Reload) -> None:
        self._parent = parent
        self._gateway = gateway
        self._master = master
        self._doors = doors
        self._reload = reload
        self._prepared: tuple[int, Prepared] | None = None
        self._steps = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._told: list[asyncio.Future[Message]] = []
        self._has_parent = True
        self._sums: list[asyncio.Future[str]] = []
        self._scraped: WSGIServer | None = None
        self._loop = asyncio.get_running_loop()
        gateway.metrics_of_all = self._of_all
        gateway.ask_all = asking(gateway.settings.home)

    async def serve(self, first: bool) -> None:
        """Until told to stop."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._signalled)
        listening = asyncio.create_task(self._listen())
        if self._doors.metrics is not None:
            self._scraped = scrape.serve_from(self._doors.metrics, self._from_thread)
        try:
            await self._master.run(lambda: self._ready(first))
        finally:
            listening.cancel()

    async def leave(self) -> None:
        """Leave the last counts with the parent."""
        await asyncio.to_thread(self._close_scraped)
        self._try_to_tell_counts()
        await self._parent.said(_LAST_WORDS)

    def _ready(self, first: bool) -> None:
        gc.freeze()
        if first:
            tell_authority(self._gateway)
        _speak_up()
        self._parent.say(say="ready")

    def _signalled(self) -> None:
        # A terminal and a service manager signal all processes at once. The second time is the parent's to tell.
        if self._has_parent:
            self._master.drain()
        else:
            self._master.stop()

    async def _listen(self) -> None:
        while (message := await self._parent.next()) is not None:
            match message:
                case {"say": "drain"}:
                    self._master.drain()
                case {"say": "end"}:
                    self._master.should_exit.set()
                case {"say": "count"}:
                    self._try_to_tell_counts()
                case {"say": "sum", "text": str(text)}:
                    self._told_sum(text)
                case {"say": "told"}:
                    self._told_of_reload(message)
                case {"say": "reloaded", "ok": bool(ok)}:
                    self._gateway.metrics.config_reloaded(ok)
                case {"say": "prepare" | "commit" | "abandon"}:
                    self._begin_step(message)
        # Nobody holds the workers together any more: what runs is finished, and the ports are free at once.
        logger.error("The parent process is gone; this worker drains")
        self._has_parent = False
        self._master.drain()
        await asyncio.to_thread(self._close_scraped)

    def _close_scraped(self) -> None:
        """Blocks for up to half a second."""
        if self._scraped is not None:
            server, self._scraped = self._scraped, None
            server.shutdown()
            server.server_close()

    # ---- another configuration -------------------------------------------------------------------------------------

    async def reload(self, why: str) -> dict[str, Any]:
        """Ask the parent, which asks all workers."""
        if not self._has_parent:
            return why_not(Unavailable("The parent of this worker is gone, and nothing is taken over any more."))
        asked: asyncio.Future[Message] = self._loop.create_future()
        self._told.append(asked)
        self._parent.say(say="reload", why=why)
        return {name: value for name, value in (await asked).items() if name != "say"}

    def _told_of_reload(self, message: Message) -> None:
        asked = self._told.pop(0)
        if not asked.done():
            asked.set_result(message)

    def _begin_step(self, message: Message) -> None:
        """One after the other, and beside the line, which must go on being heard."""
        task = self._loop.create_task(self._step(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _step(self, message: Message) -> None:
        async with self._steps:
            number = message["number"]
            if message["say"] == "prepare":
                await self._prepare(number, message["mark"])
                return
            prepared, self._prepared = self._prepared, None
            if prepared is None or prepared[0] != number:
                return
            if message["say"] == "commit":
                self._reload.switch(prepared[1])
            else:
                await self._reload.abandon(prepared[1])

    async def _prepare(self, number: int, mark: str) -> None:
        try:
            prepared = await self._reload.prepare(mark)
        except Exception as error:
            self._parent.say(say="prepared", number=number, answer=why_not(error))
            return
        self._prepared = number, prepared
        self._parent.say(say="prepared", number=number, answer=prepared.told())

    # ---- counts ----------------------------------------------------------------------------------------------------

    def _try_to_tell_counts(self) -> None:
        """Whatever fails here, the parent must go on being heard: it tells when to drain."""
        try:
            self._tell_counts()
        except Exception:
            logger.exception("The metrics of this worker cannot be told")

    def _tell_counts(self) -> None:
        report = self._master.addons.get("report")
        assert isinstance(report, Report)
        report.tell()
        self._parent.say(say="counts", metrics=self._gateway.snapshot_metrics())

    def _told_sum(self, text: str) -> None:
        # One answer for each question, in their order.
        asked = self._sums.pop(0)
        if not asked.done():
            asked.set_result(text)

    async def _of_all(self) -> bytes:
        if not self._has_parent:
            raise Unavailable("The metrics of all workers cannot be had at the moment.")
        asked: asyncio.Future[str] = self._loop.create_future()
        self._sums.append(asked)
        self._parent.say(say="sum")
        try:
            return (await asyncio.wait_for(asked, _PATIENCE)).encode()
        except TimeoutError:
            raise Unavailable("The metrics of all workers cannot be had at the moment.") from None

    def _from_thread(self) -> tuple[bytes, str]:
        asked: Future[bytes] = asyncio.run_coroutine_threadsafe(self._of_all(), self._loop)
        return asked.result(_PATIENCE + 1), sums.CONTENT_TYPE
