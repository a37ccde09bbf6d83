"""Calls of protocol mode by hand: bytes in, bytes out, so that what an SDK hides is seen."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any

from tests.fixtures.serving import Serving

HELLO = [{"role": "user", "content": "hello"}]


@dataclass(frozen=True, slots=True)
class Told:
    """An answer: `cut` tells that its body did not end as its framing promised."""

    status: int
    headers: dict[str, str]
    body: bytes
    cut: bool

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def events(self) -> list[Any]:
        """The data of its server-sent events; what is no JSON stays text."""
        data = [line[6:] for line in self.body.decode().splitlines() if line.startswith("data: ")]
        return [json.loads(one) if one.startswith("{") else one for one in data]

    @property
    def names(self) -> list[str]:
        """The names of its server-sent events."""
        return [line[7:] for line in self.body.decode().splitlines() if line.startswith("event: ")]


def ask(gateway: Serving, path: str, body: Any = None, method: str = "POST", **headers: str) -> Told:
    """One call with the gateway's own key; `body` is written as JSON unless it is bytes."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)
    sent = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        own = {"authorization": f"Bearer {gateway.key()}", "content-type": "application/json"}
        connection.request(method, path, sent, {**own, **named})
        answer = connection.getresponse()
        cut, read = False, b""
        try:
            while piece := answer.read1(65536):
                read += piece
        except (http.client.IncompleteRead, ConnectionError) as broken:
            read += getattr(broken, "partial", b"")
            cut = True
        return Told(answer.status, {name.lower(): value for name, value in answer.getheaders()}, read, cut)
    finally:
        connection.close()


def chat(model: str, **more: Any) -> dict[str, Any]:
    """A request of Chat Completions."""
    return {"model": model, "messages": HELLO, **more}


def message(model: str, **more: Any) -> dict[str, Any]:
    """A request of Messages."""
    return {"model": model, "messages": HELLO, "max_tokens": 200, **more}
