"""What a running proxy answers of requests: the last ones, those that come, and all that is known of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from llmauth.governance.governor import Governor
from llmauth.hindsight.facts import brief, own, own_brief, whole
from llmauth.hindsight.ids import shortener
from llmauth.hindsight.memory import MOST, Memory, is_of
from llmauth.hindsight.remembered import Remembered

Answer = Callable[[], dict[str, Any]]
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
        Where more is new than the `limit`, the oldest of it is told, and `last` is the number of the last one of these.
        """
        return self.recently(question)()

    def recently(self, question: Mapping[str, Any]) -> Answer:
        """The same in two steps: this one on the event loop, and what it returns in any thread."""
        memory, user = self._memory, _text(question.get("user"))
        memory.settle()
        after, of = self._after(question), user if user is not None else _text(question.get("of"))
        limit = _number(question.get("limit"))
        limit = MOST if limit is None else limit
        over = memory.recent(limit, user=of) if after is None else memory.next(limit, after, user=of)
        runs = memory.running(user=user) if after is None or user is None else []
        running = [one for one in runs if is_of(one, of)] if after is None else []
        last = over[-1][0] if after is not None and over and len(over) == limit else memory.last
        found = [*(one for _, one in over), *running]
        # A caller's ids need be told from its own alone, and say nothing of anybody else's.
        ids = [*memory.ids(user=user), *(one.request_id for one in runs)]

        def told() -> dict[str, Any]:
            short, row = shortener(ids), brief if user is None else own_brief
            requests = [{**row(one), "short": short(one.request_id)} for one in found]
            return {"run": memory.run, "last": last, "requests": requests}

        return told

    async def follow(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """The same, after the next request is over; or without one, after some seconds."""
        memory = self._memory
        after = self._after(question)
        if after is not None:
            await memory.beyond(after, LONGEST_WAIT)
        return self.recent(question)

    def explain(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Every request that an id means, the newest last, and how many there are."""
        return self.explained(question)()

    def explained(self, question: Mapping[str, Any]) -> Answer:
        """The same in two steps. Of a `user` alone may it be told in any thread: the operator hears of rules."""
        name, user = _text(question.get("id")) or "", _text(question.get("user"))
        self._memory.settle()
        found = self._memory.find(name, user=user)

        def told() -> dict[str, Any]:
            requests = [whole(one, self._origin) if user is None else own(one) for one in found[-_MOST_MATCHES:]]
            return {"requests": requests, "found": len(found)}

        return told

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
