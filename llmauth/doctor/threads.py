"""Several calls at a time, in threads that keep no program from ending."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def side_by_side(call: Callable[[Item], Result], items: Sequence[Item], most: int) -> Iterator[Result]:
    """The results in the order of the items; what a call raises is raised here. At most `most` run at a time."""
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for place in range(len(items)):
        waiting.put(place)
    done: dict[int, queue.SimpleQueue[tuple[Result | None, Exception | None]]] = {
        place: queue.SimpleQueue() for place in range(len(items))
    }

    def work() -> None:
        while True:
            try:
                place = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                done[place].put((call(items[place]), None))
            except Exception as error:
                done[place].put((None, error))

    # No executor: at its exit the interpreter would wait for a resolver that hangs.
    for _ in range(min(most, len(items))):
        threading.Thread(target=work, name="doctor-side", daemon=True).start()
    for place in range(len(items)):
        result, error = done[place].get()
        if error is not None:
            raise error
        yield result  # type: ignore[misc]
