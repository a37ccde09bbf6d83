"""Jobs done in threads of their own, some at a time: all of them, or none once one has failed."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Generic, TypeVar

Result = TypeVar("Result")


class Crew(Generic[Result]):
    """No executor: those of asyncio are shared with whoever judges keys, and at its exit the interpreter waits for the
    threads of every one, also for those whose peers say nothing."""

    def __init__(self, jobs: Sequence[Callable[[], Result]], over: Callable[[], None] = lambda: None) -> None:
        """`over` is called once, by the last of the threads, when none of them is at work any more."""
        self._waiting = deque(enumerate(jobs))
        self._results: list[Result | None] = [None] * len(jobs)
        self._left = len(jobs)
        self._lock = threading.Lock()
        self._done: Future[list[Result]] = Future()
        self._over = over
        self._at_work = 0

    def start(self, at_once: int) -> Future[list[Result]]:
        """Begin; the results are in the order of the jobs, and the first failure is that of all."""
        # From here on, a waiter that is cancelled cannot cancel the work; `stop` ends it.
        self._done.set_running_or_notify_cancel()
        wanted = self._at_work = min(at_once, len(self._waiting))
        for number in range(wanted):
            try:
                threading.Thread(target=self._run, name="beside", daemon=True).start()
            except BaseException as error:
                self._fail(error)
                self._leave(wanted - number)
                break
        return self._done

    def stop(self) -> None:
        """Begin no further job. What runs is over by its own time limit."""
        self._waiting.clear()

    def _run(self) -> None:
        try:
            self._work()
        finally:
            self._leave(1)

    def _leave(self, count: int) -> None:
        with self._lock:
            self._at_work -= count
            over = not self._at_work
        if over:
            self._over()

    def _work(self) -> None:
        while True:
            try:
                number, job = self._waiting.popleft()
            except IndexError:
                return
            try:
                self._take(number, job())
            except BaseException as error:  # whatever a job does, somebody waits for the outcome
                self._fail(error)

    def _take(self, number: int, result: Result) -> None:
        with self._lock:
            self._results[number] = result
            self._left -= 1
            if not self._left and not self._done.done():
                self._done.set_result([one for one in self._results if one is not None])

    def _fail(self, error: BaseException) -> None:
        self.stop()
        with self._lock:
            if not self._done.done():
                self._done.set_exception(error)
