"""Takes a changed configuration over while requests are served: all of it, or nothing."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from mitmproxy.master import Master

from addons.launch.listeners import Listeners, renewed
from addons.launch.terminal import has_terminal
from addons.launch.verdicts import Answer, tell, why_not
from addons.wire.certificates import GatewayTls
from addons.wire.dial import Dialer
from llmauth.config.changes import Changes, between
from llmauth.config.settings import Settings, read_settings
from llmauth.config.watching import FilesChanged, Watch, files_of, mark
from llmauth.gateway import Gateway
from llmauth.gateway.plan import Plan

logger = logging.getLogger(__name__)

LOOK_EVERY = 1.0

Read = Callable[[], Settings]
"""Reads files, environment and command line once more; raises what keeps a server from starting."""
SetRoots = Callable[[str | None], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A configuration that could be followed at once."""

    changes: Changes
    plan: Plan
    ports: Listeners
    contents: tuple[str, ...]  # files under the same name that hold something else

    def told(self) -> Answer:
        """What it changes, as the one who asked for it is told."""
        status = self.plan.credential.status()
        without = [name for name, one in status.items() if one.state != "ready"]
        return {
            "ok": True,
            "changed": [*self.changes.taken, *self.contents],
            "restart": list(self.changes.restart),
            "without_credential": without,
            "warnings": list(self.changes.settings.warnings),
        }


class Reload:
    """The configuration of one process. `follow` is told of settings that are in force from now on; `watch` was made
    when the ones of now were read, and is `None` where somebody else looks at the files."""

    def __init__(
        self,
        gateway: Gateway,
        ports: Listeners,
        read: Read,
        watch: Watch | None,
        master: Master,
        dialer: Dialer,
        *,
        set_roots: SetRoots | None = None,
        follow: Callable[[Settings], None] = lambda settings: None,
    ) -> None:
        self._gateway = gateway
        self._ports = ports
        self._read = read
        self._master = master
        self._dialer = dialer
        self._set_roots = set_roots or (lambda roots: master.options.update(ssl_verify_upstream_trusted_ca=roots))
        self._follow = follow
        self._turn = asyncio.Lock()
        self._watch = watch
        self._watching: asyncio.Task[None] | None = None

    # ---- who asks for it -------------------------------------------------------------------------------------------

    def obey_signals(self, hung_up: Callable[[], None]) -> None:
        """SIGHUP: read it again; or `hung_up`, where it is the terminal's end."""
        had_terminal = has_terminal()

        def hear() -> None:
            if had_terminal and not has_terminal():
                hung_up()
            else:
                self.begin("SIGHUP")

        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hear)

    def begin(self, why: str) -> None:
        """Read it again, beside whatever runs."""
        task = asyncio.get_running_loop().create_task(self.reload(why))
        _running.add(task)
        task.add_done_callback(_running.discard)

    def watch(self) -> None:
        """Look at the files from now on, and read them again when they change."""
        if self._watch is not None:
            self._watching = asyncio.get_running_loop().create_task(self._look(self._watch))

    def stop(self) -> None:
        """Look no longer."""
        if self._watching is not None:
            self._watching.cancel()

    async def _look(self, watch: Watch) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            async with self._turn:
                changed = await _aside(watch.look)
            if changed:
                await self.reload("a file changed")

    # ---- what is done ----------------------------------------------------------------------------------------------

    async def reload(self, why: str) -> Answer:
        """Read it again and follow it; what changed, or why nothing did. Never raises."""
        async with self._turn:
            try:
                settings = await _aside(self._whole)
                prepared = await self._prepare(settings)
            except Exception as error:
                answer = why_not(error)
            else:
                self.switch(prepared)
                if self._watch is not None:
                    self._watch.taken()
                answer = prepared.told()
            self._gateway.metrics.config_reloaded(answer["ok"])
            tell(answer, why)
            return answer

    def _whole(self) -> Settings:
        return self._read() if self._watch is None else self._watch.read(self._read)[0]

    async def prepare(self, read: str) -> Prepared:
        """Read it, and make all of it ready, beside the requests. Raises what keeps a server from starting, and
        FilesChanged where the files have another mark than when somebody else read them."""
        settings = await _aside(self._read)
        if read != await _aside(lambda: mark(files_of(settings))):
            raise FilesChanged
        return await self._prepare(settings)

    async def _prepare(self, settings: Settings) -> Prepared:
        changes = between(self._gateway.settings, settings)
        ports = await _aside(lambda: renewed(self._ports, changes.settings))
        plan = await self._gateway.prepare(changes.settings)
        return Prepared(changes=changes, plan=plan, ports=ports, contents=tuple(self._contents(plan, ports)))

    def _contents(self, plan: Plan, ports: Listeners) -> Iterator[str]:
        before, shown, was = self._gateway.plan, ports.certificate, self._ports.certificate
        if shown is not None and was is not None and shown.chain_certs != was.chain_certs:
            yield "the content of server.tls_cert_file"
        if ports.roots != self._ports.roots:
            yield "the content of upstream.ca_file"
        if plan.authority is not before.authority:
            yield "the certificate authority"

    async def abandon(self, prepared: Prepared) -> None:
        """It is not followed, since somebody else could not."""
        await self._gateway.abandon(prepared.plan)

    def switch(self, prepared: Prepared) -> None:
        """In one step of the loop, so that no request meets half of it."""
        settings, ports = prepared.changes.settings, prepared.ports
        self._gateway.adopt(prepared.plan)
        self._dialer.follow(prepared.plan.way)
        tls = self._master.addons.get("tlsconfig")
        assert isinstance(tls, GatewayTls)
        tls.show(ports.certificate)
        if ports.roots != self._ports.roots:
            self._set_roots(ports.roots)
        self._ports = ports
        self._follow(settings)


Result = TypeVar("Result")


async def _aside(call: Callable[[], Result]) -> Result:
    """In a thread of its own that nobody waits for at the end: files may lie where reading them never comes back, and
    the interpreter waits for every thread of an executor."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Result] = loop.create_future()

    def tell_it(set_it: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody asks any more
            loop.call_soon_threadsafe(lambda: None if done.done() else set_it())

    def run() -> None:
        try:
            result = call()
        except Exception as error:
            failure = error
            tell_it(lambda: done.set_exception(failure))
        else:
            tell_it(lambda: done.set_result(result))

    threading.Thread(target=run, name="reload", daemon=True).start()
    return await done


_running: set[asyncio.Task[Any]] = set()


def reader_of(files: Sequence[Path], environ: Mapping[str, str], overrides: Mapping[str, object]) -> Read:
    """Reads what this process was started with."""
    folder = Path.cwd()
    given = [folder / file for file in files]
    kept = dict(environ)
    return lambda: read_settings(given, kept, overrides)
