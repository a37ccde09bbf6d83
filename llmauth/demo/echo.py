"""A host that answers with what it received: for names that no provider owns, and for comparing requests."""

from __future__ import annotations

import hashlib

from llmauth.demo.emulator import JSON, Answer, Call, Emulator, Refusal, Setting
from llmauth.demo.http1 import Field
from llmauth.demo.words import dumps


class Echo(Emulator):
    """Asks for no credential and refuses nothing: what reaches it is recorded, which is its use."""

    def __init__(self, setting: Setting, host: str) -> None:
        super().__init__(setting)
        self.hosts = frozenset({host})

    def answer(self, call: Call) -> Answer:
        status = call.behaviour.status
        if status is not None and status >= 400:
            return self.render(self.failure(status, None))
        return self.echo(call) if call.path.startswith("/echo/") else self.route(call)

    def route(self, call: Call) -> Answer:
        head = call.request.head
        seen = {
            "host": call.host,
            "method": head.method.decode("ascii"),
            "target": head.target.decode("ascii"),
            "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in head.fields],
            "body_bytes": len(call.request.body),
            "body_sha256": hashlib.sha256(call.request.body).hexdigest(),
        }
        return self.json(call, seen)

    def failure(self, status: int, error: str | None) -> Refusal:
        return Refusal(status, error or "error", "The echo was told to fail.")

    def render(self, refusal: Refusal) -> Answer:
        return Answer(
            refusal.status, [JSON, *refusal.fields], dumps({"error": refusal.kind, "message": refusal.message})
        )

    def fields(self, call: Call) -> list[Field]:
        return []
