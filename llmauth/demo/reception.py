"""Finds the emulator that a Host header means, and holds that name against the one in the TLS hello."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from email.utils import formatdate

from llmauth.demo.behaviour import Behaviour, Script
from llmauth.demo.emulator import JSON, Answer, Call, Emulator, Setting
from llmauth.demo.http1 import Field, Head, Request
from llmauth.demo.recorder import Link, Recorder
from llmauth.demo.words import dumps


class Reception:
    """Every emulator by its names, and what all their connections share."""

    def __init__(
        self,
        emulators: Iterable[Emulator],
        *,
        setting: Setting,
        recorder: Recorder,
        script: Script,
        aliases: Mapping[str, str],
        tls: bool,
    ) -> None:
        self.setting = setting
        self.recorder = recorder
        self.script = script
        self._by_host = {host: emulator for emulator in emulators for host in emulator.hosts}
        self._aliases = aliases
        self._tls = tls
        self._authorities: dict[bytes, tuple[str, str]] = {}  # Host header to (name in it, host that is emulated)
        self._date = (0, b"")

    def open(self, port: int) -> None:
        """Take the names as they are reached: hosts with the scheme's port or none, aliases with the real one."""
        default = 443 if self._tls else 80
        for host in self._by_host:
            self._authorities[host.encode()] = self._authorities[f"{host}:{default}".encode()] = (host, host)
        for alias, host in self._aliases.items():
            self._authorities[f"{alias}:{port}".encode()] = (alias, host)

    def host(self, head: Head) -> str:
        """The emulated host that the Host header names, or the name itself where it is none."""
        authority = head.index[b"host"].lower()
        known = self._authorities.get(authority)
        return known[1] if known is not None else authority.partition(b":")[0].decode("latin-1")

    def answer(self, request: Request, link: Link, host: str, behaviour: Behaviour) -> Answer:
        """What the emulator says, or 421 where the names do not agree."""
        known = self._authorities.get(request.head.index[b"host"].lower())
        if known is None:
            answer = _misdirected(f"no such host is served here: {host}")
        elif self._tls and link.sni != known[0]:
            answer = _misdirected(f"the TLS hello named {link.sni}, the Host header {known[0]}")
        else:
            answer = self._by_host[host].answer(
                Call(host, request, behaviour, self.setting.tokens, self.setting.prompts)
            )
        answer.fields.insert(0, self._dated())
        return answer

    def _dated(self) -> Field:
        """The Date header, rendered once a second."""
        now = int(time.time())
        if self._date[0] != now:
            self._date = (now, formatdate(now, usegmt=True).encode())
        return b"date", self._date[1]


def _misdirected(sentence: str) -> Answer:
    return Answer(421, [JSON], dumps({"error": {"type": "misdirected_request", "message": sentence}}))
