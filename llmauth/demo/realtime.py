"""OpenAI over WebSocket, emulated: Realtime and Responses, an echo for all else, and misbehaviour on demand."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Protocol

from llmauth.demo import websocket, words
from llmauth.demo.behaviour import Cut
from llmauth.demo.emulator import PAUSE, Call
from llmauth.demo.websocket import BINARY, CLOSE, PING, PONG, TEXT, BadFrame, Frame

Event = dict[str, Any]

_SPEAKER = "OpenAI"
_PIECE = 16 * 1024
_NORMAL, _PROTOCOL_ERROR = 1000, 1002


class Wire(Protocol):
    """The connection that became a socket."""

    def write(self, data: bytes) -> None:
        """Hand bytes to the socket."""

    async def drain(self) -> None:
        """Wait while the peer reads slower than we write."""

    async def end(self, how: Cut) -> None:
        """Let what was written reach the peer, then end the connection."""

    def listen(self, wanted: bool) -> None:
        """Read from the peer, or leave what it sends where it is."""


class Session:
    """One socket. What `emulator.…` events ask for is done: cut, close, flood, deaf, report."""

    def __init__(self, wire: Wire, call: Call, pace: float, said_goodbye: Callable[[], None]) -> None:
        self._wire = wire
        self._call = call
        self._pace = pace
        self._said_goodbye = said_goodbye
        self._frames = websocket.Frames()
        self._tasks: set[asyncio.Task[None]] = set()
        self._received = 0
        self._closing = False
        self._id = f"sess_{secrets.token_hex(12)}"

    def open(self) -> None:
        """Say what the API says first."""
        if self._call.path.endswith("/v1/realtime"):
            self._say({"type": "session.created", "session": self._session({})})

    def feed(self, data: bytes) -> None:
        """Read what the client sent."""
        try:
            for frame in self._frames.feed(data):
                self._received += len(frame.payload)
                self._obey(frame)
        except BadFrame as fault:
            self._bye(_PROTOCOL_ERROR.to_bytes(2) + str(fault).encode())

    def gone(self) -> None:
        """The connection is over."""
        for task in self._tasks:
            task.cancel()

    def _obey(self, frame: Frame) -> None:
        if frame.opcode == CLOSE:
            self._bye(frame.payload)
        elif frame.opcode == PING:
            self._wire.write(websocket.render(PONG, frame.payload))
        elif frame.opcode != PONG and not self._closing:
            event = _event_in(frame)
            if event is None or not self._play(event):
                self._wire.write(websocket.render(frame.opcode, frame.payload, flags=frame.flags, final=frame.final))

    def _bye(self, payload: bytes) -> None:
        """Answer a Close with a Close, and end the connection, which is the server's to do."""
        if not self._closing:
            self._wire.write(websocket.render(CLOSE, payload))
        self._closing = True
        self._said_goodbye()
        self._do(self._wire.end(Cut.CLOSE))

    def _play(self, event: Event) -> bool:
        """Do what an event asks for; False for one that means nothing here."""
        match event["type"]:
            case "session.update":
                self._say({"type": "session.updated", "session": self._session(event.get("session") or {})})
            case "conversation.item.create":
                item = {"id": f"item_{secrets.token_hex(10)}", "object": "realtime.item", **(event.get("item") or {})}
                self._say({"type": "conversation.item.added", "previous_item_id": None, "item": item})
            case "response.create":
                answer = self._respond if self._call.path.endswith("/v1/responses") else self._speak
                self._do(self._tell(answer(event)))
            case "emulator.cut":
                self._do(self._wire.end(Cut(event.get("how", "fin"))))
            case "emulator.half":
                self._wire.write(websocket.render(BINARY, bytes(1000))[:500])
                self._do(self._wire.end(Cut(event.get("how", "fin"))))
            case "emulator.close":
                self._closing = True
                self._wire.write(websocket.render(CLOSE, int(event.get("code", _NORMAL)).to_bytes(2)))
            case "emulator.flood":
                self._do(self._flood(int(event["bytes"])))
            case "emulator.deaf":
                self._wire.listen(False)
            case "emulator.report":
                self._say({"type": "emulator.report", "received": self._received})
            case _:
                return False
        return True

    def _say(self, event: Event) -> None:
        event.setdefault("event_id", f"event_{secrets.token_hex(10)}")
        self._wire.write(websocket.render(TEXT, words.dumps(event)))

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _flood(self, count: int) -> None:
        for _ in range(count // _PIECE):
            self._wire.write(websocket.render(BINARY, bytes(_PIECE)))
            await self._wire.drain()

    async def _tell(self, events: Iterator[Event | bytes]) -> None:
        for event in events:
            if isinstance(event, dict):
                self._say(event)
                await self._wire.drain()
            elif self._pace:
                await asyncio.sleep(self._pace)

    def _session(self, changes: Event) -> Event:
        model = re.search(r"(?:^|&)model=([^&]*)", self._call.query)
        return {
            "object": "realtime.session",
            "type": "realtime",
            "id": self._id,
            "model": model[1] if model else "gpt-realtime",
            "output_modalities": ["text"],
            **changes,
        }

    def _speak(self, event: Event) -> Iterator[Event | bytes]:
        """A response of the Realtime API, in text."""
        response: Event = {
            "id": f"resp_{secrets.token_hex(10)}",
            "object": "realtime.response",
            "status": "in_progress",
            "output": [],
            "metadata": (event.get("response") or {}).get("metadata"),
        }
        where = {"response_id": response["id"], "item_id": f"item_{secrets.token_hex(10)}"}
        where |= {"output_index": 0, "content_index": 0}
        yield {"type": "response.created", "response": response}
        count = self._call.tokens(None)
        for token in words.tokens(_SPEAKER, count):
            yield {"type": "response.output_text.delta", **where, "delta": token}
            yield PAUSE
        text = words.text(_SPEAKER, count)
        yield {"type": "response.output_text.done", **where, "text": text}
        part = {"type": "output_text", "text": text}
        item = {"id": where["item_id"], "object": "realtime.item", "type": "message", "role": "assistant"}
        done = {**item, "status": "completed", "content": [part]}
        yield {"type": "response.done", "response": {**response, "status": "completed", "output": [done]}}

    def _respond(self, event: Event) -> Iterator[Event | bytes]:
        """A response of the Responses API: one message, in the events that its stream of server-sent events has."""
        response: Event = {"id": f"resp_{secrets.token_hex(24)}", "object": "response", "model": event.get("model")}
        count = self._call.tokens(None)
        item: Event = {"id": f"msg_{secrets.token_hex(24)}", "type": "message", "role": "assistant", "content": []}
        where = {"item_id": item["id"], "output_index": 0, "content_index": 0}
        part = {"type": "output_text", "text": words.text(_SPEAKER, count), "annotations": []}
        told: list[Event] = [
            {"type": "response.created", "response": {**response, "status": "in_progress"}},
            {"type": "response.output_item.added", "output_index": 0, "item": {**item, "status": "in_progress"}},
            *({"type": "response.output_text.delta", **where, "delta": one} for one in words.tokens(_SPEAKER, count)),
        ]
        whole = {**item, "status": "completed", "content": [part]}
        usage = {"input_tokens": 1, "output_tokens": count, "total_tokens": count + 1}
        told += [
            {"type": "response.output_item.done", "output_index": 0, "item": whole},
            {
                "type": "response.completed",
                "response": {**response, "status": "completed", "output": [whole], "usage": usage},
            },
        ]
        for number, one in enumerate(told):
            yield {**one, "sequence_number": number}
            if one["type"].endswith(".delta"):
                yield PAUSE


def _event_in(frame: Frame) -> Event | None:
    if frame.opcode != TEXT or not frame.final or frame.flags:
        return None
    try:
        value = json.loads(frame.payload)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and isinstance(value.get("type"), str) else None
