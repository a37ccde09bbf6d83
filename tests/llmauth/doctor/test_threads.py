"""Several calls at a time: in order, no more than allowed, and none keeps the program from ending."""

from __future__ import annotations

import threading
import time

import pytest

from llmauth.doctor.threads import side_by_side


def test_results_come_in_order_and_few_run_at_once() -> None:
    running, most, lock = 0, 0, threading.Lock()

    def call(number: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.01 if number else 0.03)
        with lock:
            running -= 1
        return number * 2

    assert list(side_by_side(call, [0, 1, 2, 3, 4], 2)) == [0, 2, 4, 6, 8]
    assert most == 2


def test_what_one_raises_is_raised_here() -> None:
    def call(number: int) -> int:
        if number == 1:
            raise ValueError("one")
        return number

    with pytest.raises(ValueError, match="one"):
        list(side_by_side(call, [0, 1], 2))
