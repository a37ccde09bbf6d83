from __future__ import annotations

import asyncio
import time

import pytest

from llmauth.context import Identity
from llmauth.hindsight.memory import Memory, matching
from tests.llmauth.hindsight.requests import remembered

BOB = Identity(user="bob", method="api_key")


def ids(found) -> list[str]:
    return [one.request_id for one in found]


def filled(*names: str, kept: int = 10) -> Memory:
    memory = Memory(kept)
    memory.keep(remembered(request_id=name) for name in names)
    return memory


def test_the_oldest_is_forgotten_and_numbers_go_on() -> None:
    memory = filled("a", "b", "c", kept=2)
    assert [(number, one.request_id) for number, one in memory.recent(10)] == [(2, "b"), (3, "c")]
    assert [number for number, _ in memory.recent(1)] == [3]
    assert [number for number, _ in memory.recent(10, after=2)] == [3]
    assert memory.recent(10, after=3) == []


def test_of_one_user_are_only_its_own() -> None:
    memory = filled("a")
    memory.keep([remembered(request_id="b", identity=BOB), remembered(request_id="c", identity=None)])
    memory.watch(lambda: [remembered(request_id="d", identity=BOB, status=None)])
    assert ids(one for _, one in memory.recent(10, user="bob")) == ["b"]
    assert ids(memory.running(user="bob")) == ["d"]
    assert memory.running(user="alice") == []
    assert memory.find("a", user="bob") == []
    assert memory.find("c", user="bob") == []


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("req_91c2", ["req_91c2aa"]),
        ("91c2", ["req_91c2aa"]),
        ("req_91c2aa", ["req_91c2aa"]),
        ("req_9", ["req_91c2aa", "req_91d0bb"]),
        ("trace", ["trace-7"]),
        ("req_theirs", ["req_91d0bb"]),  # the provider's, which means one by its whole alone
        ("req_their", []),
        ("", []),
        ("q_91", []),
    ],
)
def test_an_id_is_ours_or_the_providers_and_may_be_shortened(name: str, found: list[str]) -> None:
    every = [
        remembered(request_id="req_91c2aa", provider_request_id=None),
        remembered(request_id="req_91d0bb", provider_request_id="req_theirs"),
        remembered(request_id="trace-7", provider_request_id=None),
    ]
    assert ids(matching(name, every)) == found


def test_a_whole_id_is_no_beginning_of_another() -> None:
    memory = filled("trace", "trace-7", "trace")
    assert ids(memory.find("trace")) == ["trace", "trace"]


async def test_who_waits_is_woken_by_the_next_end() -> None:
    memory = filled("a")
    waiting = asyncio.create_task(memory.beyond(1, 10.0))
    await asyncio.sleep(0)
    started = time.monotonic()
    memory.keep([remembered()])
    await waiting
    await memory.beyond(1, 10.0)  # there is one already
    assert time.monotonic() - started < 1
    await memory.beyond(2, 0.01)  # and nobody waits for ever


async def test_who_waited_in_vain_leaves_nothing_behind() -> None:
    memory = filled("a")
    for _ in range(3):
        await memory.beyond(1, 0.001)
    leaving = asyncio.create_task(memory.beyond(1, 10.0))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait([leaving])
    assert memory._waiting == []


def test_what_comes_next_is_the_oldest_that_is_new() -> None:
    memory = filled("a", "b", "c", "d")
    assert [(number, one.request_id) for number, one in memory.next(2, 1)] == [(2, "b"), (3, "c")]
    assert memory.next(2, 4) == []
    assert memory.next(2, 0, user="bob") == []
    assert memory.ids() == ["a", "b", "c", "d"]
    assert memory.ids(user="bob") == []
