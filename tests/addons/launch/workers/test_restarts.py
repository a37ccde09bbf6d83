from __future__ import annotations

from addons.launch.workers.restarts import LIVED, LONGEST, SOON, Restarts


def test_the_first_comes_at_once_and_each_further_one_later() -> None:
    restarts = Restarts()
    waits = [restarts.after(0.0) for _ in range(12)]
    assert waits[:4] == [SOON, SOON * 2, SOON * 4, SOON * 8]
    assert waits[-1] == LONGEST
    assert waits == sorted(waits)


def test_one_that_has_lived_begins_anew() -> None:
    restarts = Restarts()
    for _ in range(8):
        restarts.after(LIVED / 2)
    assert restarts.after(LIVED) == SOON
    assert restarts.after(0.0) == SOON * 2
