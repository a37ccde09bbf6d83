"""What a running proxy answers of requests: the last ones, those that come, and all that is known of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from llmauth.governance.governor import Governor
from llmauth.hindsight.facts import brief, own, own_brief, whole
from llmauth.hindsight.memory import MOST, Memory
from llmauth.hindsight.remembered import Remembered

LONGEST_WAIT = 20.0
"""Seconds that an answer may keep whoever asked waiting, for a request that is over."""
_MOST_MATCHES = 20


class Hindsight:
    """Answers out of the memory; `governor` knows whose rules hold now.

    Without a `user` the question is the operator's, who may want those `of` one user; with one it is that user's own,
    who learns of no other's requests, and less of its own.
    """

    def __init__(self, memory: Memory, governor: Callable[[], Governor]) -> None:
        self._memory = memory
        self._governor = governor

    def recent(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """The last requests; `cursor` leads from runs to the numbers of the last ones that are known already.

        Those that run are told of where nothing is known already. Whoever knows other runs alone hears all of this one.
        """
        memory, user = self._memory, _text(question.get("user"))
        memory.settle()
        after, of = self._after(question), user if user is not None else _text(question.get("of"))
        limit = _number(question.get("limit"))
        told = brief if user is None else own_brief
        short = memory.short()
        over = memory.recent(MOST if limit is None else limit, after=after, user=of)
        running = memory.running(user=of) if after is None else []
        requests = [{**told(one), "short": short(one.request_id)} for one in (*(one for _, one in over), *running)]
        return {"run": memory.run, "last": memory.last, "requests": requests}

    async def follow(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """The same, after the next request is over; or without one, after some seconds."""
        memory = self._memory
        after = self._after(question)
        if after is not None:
            await memory.beyond(after, LONGEST_WAIT)
        return self.recent(question)

    def explain(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Every request that an id means, the newest last, and how many there are."""
        name, user = _text(question.get("id")) or "", _text(question.get("user"))
        self._memory.settle()
        found = self._memory.find(name, user=user)
        told = [whole(one, self._origin) if user is None else own(one) for one in found[-_MOST_MATCHES:]]
        return {"requests": told, "found": len(found)}

    def _after(self, question: Mapping[str, Any]) -> int | None:
        cursor = question.get("cursor")
        return _number(cursor.get(self._memory.run, 0)) if isinstance(cursor, dict) else None

    def _origin(self, one: Remembered) -> str | None:
        """Only while the same rules still count for this caller: others may hold since."""
        governor, identity = self._governor(), one.identity
        if identity is None or governor.allowance(identity) is not one.allowance:
            return None
        return governor.policies.origin(identity, "models")


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
