"""A configuration that all workers take over, or none: asked of each whether it could, and then told to."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

from addons.launch.reload import Read
from addons.launch.verdicts import Answer, tell, why_not
from addons.launch.workers.child import Child
from llmauth.config.changes import Changes, between
from llmauth.config.settings import Settings
from llmauth.config.watching import Watch

logger = logging.getLogger(__name__)

PATIENCE = 25.0
"""Seconds that the workers may take to make ready, credentials of new instances among it."""
LOOK_EVERY = 1.0

Reply = Callable[[Answer], None]


class Reloading:
    """The parent's side. `settings` are those in force, with which a worker that starts later begins.

    One at a time; whoever asks meanwhile is answered by the next. Times are monotonic seconds.
    """

    def __init__(self, settings: Settings, read: Read) -> None:
        self.settings = settings
        self._read = read
        self._watch = Watch(settings)
        self._look_at = time.monotonic() + LOOK_EVERY
        self._wanted: list[str] = []
        self._replies: list[Reply] = []
        self._asked: list[Reply] = []
        self._why = ""
        self._changes: Changes | None = None
        self._number = 0
        self._awaited: set[int] = set()
        self._workers: Sequence[Child] = ()
        self._answer: Answer | None = None
        self._ends = 0.0

    @property
    def is_under_way(self) -> bool:
        """Whether workers make ready: until that is over none is started, since it would know neither for sure."""
        return self._changes is not None

    @property
    def due(self) -> float:
        """When something is to be done though nothing is heard."""
        return min(self._ends, self._look_at) if self.is_under_way else self._look_at

    def want(self, why: str, reply: Reply | None = None) -> None:
        """Read it again, and have it followed."""
        self._wanted.append(why)
        if reply is not None:
            self._replies.append(reply)

    def go_on(self, workers: Collection[Child]) -> None:
        """Do what is due. Workers that do not serve yet are waited for."""
        now = time.monotonic()
        if self.is_under_way and now > self._ends:
            self._finish({"ok": False, "why": "Error: a worker was not ready in time.", "problems": []})
        if now >= self._look_at:
            self._look_at = now + LOOK_EVERY
            if not self.is_under_way and self._watch.look():
                self._wanted.append("a file changed")
        living = [worker for worker in workers if worker.pid is not None]
        if self._wanted and not self.is_under_way and living and all(one.is_ready for one in living):
            self._begin(living)

    def heard(self, worker: Child, message: Any) -> None:
        """A worker could follow, or could not, and why."""
        if message["number"] != self._number or worker.number not in self._awaited:
            return
        self._awaited.discard(worker.number)
        if not message["answer"]["ok"]:
            self._finish(message["answer"])
        else:
            self._answer = message["answer"]
            if not self._awaited:
                self._finish(self._answer)

    def ended(self, worker: Child) -> None:
        """A worker is gone; the one that takes its place begins with what is in force then."""
        self._awaited.discard(worker.number)
        if self.is_under_way and not self._awaited:
            gone = {"ok": False, "why": "Error: the workers ended meanwhile.", "problems": []}
            self._finish(self._answer or gone)

    # ---- one change ------------------------------------------------------------------------------------------------

    def _begin(self, workers: Sequence[Child]) -> None:
        self._why, self._wanted = self._wanted[-1], []
        self._asked, self._replies = self._replies, []
        try:
            settings, read = self._watch.read(self._read)
        except Exception as error:
            self._tell(why_not(error), workers)
            return
        self._changes = between(self.settings, settings)
        self._number += 1
        self._workers, self._answer = workers, None
        self._awaited = {worker.number for worker in workers}
        self._ends = time.monotonic() + PATIENCE
        for worker in workers:
            worker.say(say="prepare", number=self._number, mark=read, why=self._why)

    def _finish(self, answer: Answer) -> None:
        changes, self._changes, self._awaited = self._changes, None, set()
        assert changes is not None
        for worker in self._workers:
            worker.say(say="commit" if answer["ok"] else "abandon", number=self._number)
        if answer["ok"]:
            self.settings = changes.settings
            self._watch.taken()
        self._tell(answer, self._workers)

    def _tell(self, answer: Answer, workers: Sequence[Child]) -> None:
        tell(answer, self._why)
        if workers:
            workers[0].say(say="reloaded", ok=answer["ok"])  # one for all, since their counts are added up
        told = {**answer, "processes": [worker.pid for worker in workers]}
        asked, self._asked = self._asked, []
        for reply in asked:
            reply(told)
