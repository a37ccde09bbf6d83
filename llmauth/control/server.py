"""The proxy's side of its control socket: one question a connection, one line of JSON each way."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

from llmauth.clock import Clock, SystemClock
from llmauth.config.settings import Settings
from llmauth.control import checking, facts, lending
from llmauth.control.levels import LogLevel
from llmauth.control.place import folder_of, short, sweep
from llmauth.control.standing import standing
from llmauth.gateway import Gateway

logger = logging.getLogger(__name__)

_QUESTION_LIMIT = 4096
_TIME_LIMIT = 5.0


class Control:
    """Answers whoever may open the socket, which is whoever may read the state folder: its owner.

    Nothing here is reachable over the network, and no answer holds a secret but what `lend` lends.
    """

    def __init__(self, gateway: Gateway, clock: Clock | None = None) -> None:
        self._gateway = gateway
        self._clock = clock or SystemClock()
        self._folder = folder_of(gateway.settings.home)
        # Containers that share a state folder may have processes of the same number.
        self._name = f"{os.getpid()}-{secrets.token_hex(4)}.sock"
        self._server: asyncio.AbstractServer | None = None
        self._answers: dict[str, Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]] = {
            "credentials": self._credentials,
            "expire": self._expire,
            "reload": self._reload,
            "log_level": self._log_level,
            "standing": self._standing,
            "check": partial(self._checked, checking.check),
            "permit": partial(self._checked, checking.permit),
            "look": self._look,
            "served": self._served,
            "lend": partial(self._lent, lending.lend),
            "take_back": partial(self._lent, lending.take_back),
            "recent": self._recent,
            "follow": self._follow,
            "explain": self._explain,
        }
        self.reload: Callable[[str], Awaitable[dict[str, Any]]] | None = None
        self._level = LogLevel(gateway.settings.log.level)

    async def open(self) -> None:
        """Listen. A proxy that cannot be asked still serves: what keeps it is told in the log."""
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            self._folder.chmod(0o700)
            sweep(self._folder)
            # Between bind and listen it looks like one that a killed process left, and whoever starts then would sweep
            # it away: it gets its name when somebody listens.
            new = f"{self._name}.new"
            with short(self._folder, new) as path:
                self._server = await asyncio.start_unix_server(self._meet, path, limit=_QUESTION_LIMIT)
            (self._folder / new).chmod(0o600)
            (self._folder / new).rename(self._folder / self._name)
        except (OSError, AttributeError, NotImplementedError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            logger.warning("No control socket, so `llmauth creds` cannot ask this process: %s", why)

    async def close(self) -> None:
        """Stop listening, and take the socket away."""
        if self._server is not None:
            self._server.close()
        with suppress(OSError):
            (self._folder / self._name).unlink()

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await asyncio.wait_for(reader.readline(), _TIME_LIMIT)
            # In ASCII: a path may hold bytes that are no text.
            writer.write(json.dumps(await self._answer(line)).encode("ascii") + b"\n")
            writer.close()
            await asyncio.wait_for(writer.wait_closed(), _TIME_LIMIT)
        except (OSError, TimeoutError, ValueError):
            logger.debug("A question on the control socket was not heard to its end")
        finally:
            # Whoever does not read what was asked for keeps nothing open.
            writer.transport.abort()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            question = json.loads(line)
            answer = self._answers[question["ask"]]
        except (ValueError, KeyError, TypeError, RecursionError):
            return {"error": "not a question that this version knows"}
        return await answer(question)

    async def _credentials(self, _: dict[str, Any]) -> dict[str, Any]:
        return {
            **self._process(),
            "platform": facts.of_platform(self._gateway.platform),
            "instances": facts.of_instances(self._gateway.credential.status(), self._clock.wall()),
        }

    async def _look(self, question: dict[str, Any]) -> dict[str, Any]:
        """A source was given something new: it is asked now, and not when its time comes."""
        instance = question.get("instance")
        if not isinstance(instance, str) or instance not in self._gateway.handlers:
            return {"error": f"no instance is named '{instance}'"}
        logger.info("The sources of an instance are asked again", extra={"instance": instance})
        status = await self._gateway.credential.look_again(instance)
        return {**self._process(), "state": status.state, "strategy": status.strategy}

    async def _served(self, _: dict[str, Any]) -> dict[str, Any]:
        return {**self._process(), **lending.served(self._gateway)}

    async def _lent(self, change: checking.Check, question: dict[str, Any]) -> dict[str, Any]:
        return {**self._process(), **await change(self._gateway, question)}

    async def _recent(self, question: dict[str, Any]) -> dict[str, Any]:
        return {**self._process(), **await asyncio.to_thread(self._gateway.hindsight.recently(question))}

    async def _follow(self, question: dict[str, Any]) -> dict[str, Any]:
        return {**self._process(), **await self._gateway.hindsight.follow(question)}

    async def _explain(self, question: dict[str, Any]) -> dict[str, Any]:
        return {**self._process(), **self._gateway.hindsight.explain(question)}

    async def _expire(self, question: dict[str, Any]) -> dict[str, Any]:
        instance = question.get("instance")
        if not isinstance(instance, str) or instance not in self._gateway.handlers:
            return {"error": f"no instance is named '{instance}'; there are: {', '.join(self._gateway.handlers)}"}
        logger.warning("An expiry is rehearsed", extra={"instance": instance})
        told = await self._gateway.credential.rehearse(instance)
        return {**self._process(), **facts.of_rehearsal(told, self._clock.wall())}

    async def _reload(self, _: dict[str, Any]) -> dict[str, Any]:
        if self.reload is None:
            return {"error": "it does not take over a configuration now; try again in a moment"}
        return {**self._process(), **await self.reload("llmauth config reload")}

    async def _log_level(self, question: dict[str, Any]) -> dict[str, Any]:
        try:
            told = self._level.ask(question)
        except ValueError as error:
            return {"error": str(error)}
        return {**self._process(), **told}

    def follow(self, settings: Settings) -> None:
        """The configuration is another one now."""
        self._level.follow(settings.log.level)

    async def _standing(self, _: dict[str, Any]) -> dict[str, Any]:
        return {**self._process(), **standing(self._gateway)}

    async def _checked(self, check: checking.Check, question: dict[str, Any]) -> dict[str, Any]:
        return {**self._process(), **await check(self._gateway, question)}

    def _process(self) -> dict[str, Any]:
        seat = self._gateway.seat
        return {"process": os.getpid(), **({} if seat is None else {"worker": seat.worker})}
