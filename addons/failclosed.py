"""The addon manager that turns every failing hook into a refusal: raised, cancelled, halted or hung."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from mitmproxy import addonmanager, flow, hooks, http
from mitmproxy.connection import Client
from mitmproxy.master import Master
from mitmproxy.tls import TlsData

from addons.last_resort import last_resort
from addons.wire.closed import Closed

logger = logging.getLogger(__name__)

Handler = tuple[object, Callable[[Any], Any]]


@dataclass(frozen=True, slots=True)
class Settled:
    """What a hook returns to say that these addons have nothing more to do in this hook; all others are still asked."""

    addons: tuple[object, ...] = field(repr=False)


# Longer than any time limit that a hook sets itself (a credential is awaited for 5 s, a key for less).
HOOK_TIME_LIMIT = 30.0

_REQUEST_HOOKS = frozenset({"http_connect", "requestheaders", "request"})
_RESPONSE_HOOKS = frozenset({"server_ready", "renew", "responseheaders", "response"})
_TUNNEL_HOOKS = frozenset({"http_connected"})
_SERVER_HOOKS = frozenset({"server_connect", "server_connected"})
FAILED = "a hook failed"
_LIFECYCLE = frozenset({"load", "configure", "running", "done"})


class FailClosed(addonmanager.AddonManager):
    """mitmproxy's own manager logs a failing hook and lets the flow go on; this one stops the flow.

    Which addon implements which hook is looked up once, not at every event.
    """

    def __init__(self, master: Master, time_limit: float = HOOK_TIME_LIMIT) -> None:
        super().__init__(master)
        self._time_limit = time_limit
        self._handlers: dict[str, tuple[Handler, ...]] = {}
        self._unsettled: dict[tuple[str, int], tuple[tuple[Handler, ...], Settled, tuple[Handler, ...]]] = {}

    def register(self, addon: Any) -> Any:
        self._handlers.clear()
        return super().register(addon)

    def add(self, *addons: Any) -> None:
        super().add(*addons)
        self._handlers.clear()

    def remove(self, addon: Any) -> None:
        super().remove(addon)
        self._handlers.clear()

    def clear(self) -> None:
        super().clear()
        self._handlers.clear()

    def dispatch(self, hook: hooks.Hook) -> Coroutine[Any, Any, None] | None:
        """Run a hook through the addons in order; `None` when all is done, else the coroutine that does the rest."""
        (data,) = hook.args()
        return self._run(hook.name, data, self._of(hook.name))

    def _run(self, name: str, data: Any, handlers: tuple[Handler, ...]) -> Coroutine[Any, Any, None] | None:
        for position, (addon, function) in enumerate(handlers):
            try:
                result = function(data)
            except BaseException as error:
                self._stop(name, addon, data, error)
                return None
            if result is None:
                continue
            if isinstance(result, Settled):
                return self._run(name, data, self._beside(result, name, handlers, position))
            if inspect.isawaitable(result):
                return self._continue(name, data, result, handlers[position:])
        return self._updated(data)

    def _beside(self, settled: Settled, name: str, handlers: tuple[Handler, ...], position: int) -> tuple[Handler, ...]:
        """Who comes after this position and is not settled; found out once, since the same is settled each time."""
        known = self._unsettled.get((name, position))
        if known is not None and known[0] is handlers and known[1] is settled:
            return known[2]
        found = _unsettled(settled, handlers[position + 1 :])
        self._unsettled[name, position] = handlers, settled, found
        return found

    def _of(self, name: str) -> tuple[Handler, ...]:
        handlers = self._handlers.get(name)
        if handlers is None:
            found = ((a, getattr(a, name, None)) for a in addonmanager.traverse(self.chain))
            handlers = tuple((a, f) for a, f in found if callable(f))
            self._handlers[name] = handlers
        return handlers

    def _updated(self, data: object) -> Coroutine[Any, Any, None] | None:
        # mitmweb's views listen to `update`; without such an addon this costs one look-up.
        if isinstance(data, flow.Flow):
            for addon, function in self._of("update"):
                try:
                    function([data])
                except Exception as error:
                    _log("update", addon, error)
        return None

    async def _continue(self, name: str, data: Any, awaitable: Any, handlers: tuple[Handler, ...]) -> None:
        for position, (addon, function) in enumerate(handlers):
            try:
                async with asyncio.timeout(self._time_limit):
                    result = awaitable if position == 0 else function(data)
                    if result is not None and inspect.isawaitable(result):
                        result = await result
            except BaseException as error:
                self._stop(name, addon, data, error)
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise
                return
            if isinstance(result, Settled):
                rest = self._run(name, data, _unsettled(result, handlers[position + 1 :]))
                if rest is not None:
                    await rest
                return
        self._updated(data)

    async def trigger_event(self, event: hooks.Hook) -> None:
        if event.name in _LIFECYCLE:
            async with asyncio.timeout(self._time_limit):
                await self._live(event)
            return
        rest = self.dispatch(event)
        if rest is not None:
            await rest

    async def _live(self, event: hooks.Hook) -> None:
        if event.name == "done":
            await super().trigger_event(event)  # one that fails keeps no other from ending well
            return
        for addon in self.chain:
            await self.invoke_addon(addon, event)

    def trigger(self, event: hooks.Hook) -> None:
        """Load and configure: what fails here keeps the server from starting, instead of a line in the log."""
        for addon in self.chain:
            self.invoke_addon_sync(addon, event)

    async def handle_lifecycle(self, event: hooks.Hook) -> None:
        await self.trigger_event(event)

    def _stopped(self, failed: http.HTTPFlow) -> None:
        """Tell whoever keeps count of flows: behind the hook that failed may stand who would have told the end.

        A request's own hook is answered for, and that answer's hooks follow.
        """
        for addon, function in self._of("stopped"):
            try:
                function(failed)
            except Exception as error:
                _log("stopped", addon, error)

    def _stop(self, name: str, addon: object, data: Any, error: BaseException) -> None:
        _log(name, addon, error)
        stop(name, data)
        if isinstance(data, http.HTTPFlow) and name not in _REQUEST_HOOKS:
            self._stopped(data)
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise error


def _unsettled(settled: Settled, handlers: tuple[Handler, ...]) -> tuple[Handler, ...]:
    done = {id(addon) for addon in settled.addons}
    return tuple(each for each in handlers if id(each[0]) not in done)


def _log(name: str, addon: object, error: BaseException) -> None:
    logger.error(
        "A hook failed; what it judged was stopped",
        extra={"hook": name, "addon": type(addon).__name__, "error": type(error).__name__},
        # The frames tell where; the text of an exception may hold what a client or provider sent.
        exc_info=(RuntimeError, RuntimeError(type(error).__name__), error.__traceback__),
    )


def stop(name: str, data: Any) -> None:
    """Leave what a failed hook judged in the one state from which nothing goes on."""
    if isinstance(data, http.HTTPFlow):
        _stop_flow(name, data)
    elif name == "next_layer":
        data.layer = Closed(data.context)
    elif name in _SERVER_HOOKS:
        data.server.error = FAILED
    elif name == "tls_clienthello":
        data.context.client.error = FAILED
    elif isinstance(data, TlsData):
        # Without an OpenSSL object a handshake cannot begin; once it has, the connection is marked and never used.
        data.conn.error = FAILED
        data.ssl_conn = None
    elif isinstance(data, Client):
        data.error = FAILED


def _stop_flow(name: str, failed: http.HTTPFlow) -> None:
    if name in _REQUEST_HOOKS:
        failed.request.stream = False
        failed.request.headers.pop("expect", None)
        failed.response = last_resort(500)
    elif name in _TUNNEL_HOOKS:
        # The tunnel is open and nothing is in it yet; screening and the TLS layer refuse a client that has an error.
        failed.client_conn.error = FAILED
    elif name in _RESPONSE_HOOKS:
        # Past this point bytes may be on their way: only a closed connection is certain to say so.
        failed.error = flow.Error(flow.Error.KILLED_MESSAGE)
