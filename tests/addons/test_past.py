"""A1: what became of a caller's own requests is told to nobody else."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import replace
from typing import Any

import pytest
from mitmproxy import http

from addons import past as module_
from addons.arrive import Arrive
from addons.authenticate import Authenticate
from addons.past import PATH, Past
from llmauth.context import Identity
from llmauth.errors import Unavailable
from llmauth.gateway import hindsight
from tests.addons import flows
from tests.addons.conftest import House
from tests.llmauth.hindsight.requests import remembered

OTHER = Identity(user="mallory", method="api_key")


@pytest.fixture
async def past(house: House):
    made = Past(house.gateway, house.exchanges)
    yield made
    made.done()


async def ask(house: House, past: Past, path: str = PATH, method: bytes = b"GET") -> http.HTTPFlow:
    key = (b"X-API-Key", house.key.encode())
    flow = flows.gateway(house.exchanges, path.encode(), key, method=method)
    Arrive(house.gateway, house.exchanges).requestheaders(flow)
    for addon in (Authenticate(house.exchanges), past):
        waiting = addon.requestheaders(flow)
        if waiting is not None:
            await waiting
    return flow


def told(flow: http.HTTPFlow) -> Any:
    assert flow.response
    return json.loads(flow.response.content or b"")


async def caller(house: House, past: Past) -> Identity:
    flow = await ask(house, past)
    return house.exchanges.of(flow).context.identity


async def test_only_ones_own_are_told(house: House, past: Past) -> None:
    me = await caller(house, past)
    house.gateway.memory.keep(
        [remembered(request_id="req_mine", identity=me), remembered(request_id="req_x", identity=OTHER)]
    )
    answer = told(await ask(house, past))
    assert [one["request_id"] for one in answer["requests"]] == ["req_mine"]
    assert told(await ask(house, past, f"{PATH}?after={answer['cursor']}"))["requests"] == []
    assert told(await ask(house, past, f"{PATH}/req_mine"))["found"] == 1


async def test_anothers_is_as_unknown_as_one_that_never_was(house: House, past: Past) -> None:
    house.gateway.memory.keep([remembered(request_id="req_x", identity=OTHER)])
    answers = [await ask(house, past, f"{PATH}/{name}") for name in ("req_x", "req_never", "req_", "", "x" * 500)]
    assert {answer.response.status_code for answer in answers} == {404}
    said = [{name: value for name, value in told(one)["error"].items() if name != "request_id"} for one in answers]
    assert all(one == said[0] for one in said)


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=x", "limit=-1", "limit=%c2%b2", "after=x", "after=0000000g:1", "after=,"]
)
async def test_what_is_no_question_is_refused(house: House, past: Past, query: str) -> None:
    flow = await ask(house, past, f"{PATH}?{query}")
    assert flow.response.status_code == 400


async def test_it_is_read_and_nothing_else(house: House, past: Past) -> None:
    flow = await ask(house, past, method=b"DELETE")
    assert (flow.response.status_code, flow.response.headers["allow"]) == (405, "GET, HEAD")
    for path in ("/auth/requestsx", "/auth/request", "/auth/requests%2Fx"):
        assert (await ask(house, past, path)).response is None


async def test_among_several_workers_all_are_asked(house: House, past: Past) -> None:
    asked: Any = []
    answers = [
        {"run": "aaaaaaaa", "last": 3, "requests": [{"request_id": "2", "at": 2}], "found": 1},
        {"run": "bbbbbbbb", "last": 9, "requests": [{"request_id": "1", "at": 1}], "found": 0},
    ]
    me = await caller(house, past)
    house.gateway.ask_all = lambda question: asked.append(question) or answers
    answer = told(await ask(house, past))
    assert [one["request_id"] for one in answer["requests"]] == ["1", "2"]
    assert answer["cursor"] == "aaaaaaaa:3,bbbbbbbb:9"
    await ask(house, past, f"{PATH}?after={answer['cursor']}&limit=7")
    assert asked[-1] == {"ask": "recent", "user": me.user, "limit": 7, "cursor": {"aaaaaaaa": 3, "bbbbbbbb": 9}}
    await ask(house, past, f"{PATH}/x")
    assert asked[-1] == {"ask": "explain", "user": me.user, "id": "x"}


async def test_workers_that_do_not_answer_hold_few_threads_and_nobody_else(house: House, past: Past) -> None:
    go_on = threading.Event()

    def hang(*_: Any) -> Any:
        go_on.wait(5)
        raise Unavailable("no answer")

    house.gateway.ask_all = hang
    others = [replace(house, key=house.keys.create(f"user{number}")[1].reveal()) for number in range(4)]
    waiting = [asyncio.create_task(ask(other, past)) for other in others]
    await asyncio.sleep(0.05)
    refused = await ask(house, past)
    assert (refused.response.status_code, refused.response.headers["retry-after"]) == (503, "1")
    go_on.set()
    assert {one.response.status_code for one in await asyncio.gather(*waiting)} == {503}


async def test_a_caller_asks_one_question_at_a_time(house: House, past: Past) -> None:
    go_on = threading.Event()
    house.gateway.ask_all = lambda _: [{}] * (not go_on.wait(5))
    leaving = asyncio.create_task(ask(house, past))
    await asyncio.sleep(0.05)
    for path in (PATH, f"{PATH}/req_x"):
        refused = await ask(house, past, path)
        assert (refused.response.status_code, refused.response.headers["retry-after"]) == (429, "1")
        assert told(refused)["error"]["code"] == "rate_limit_exceeded"
    leaving.cancel()  # whoever leaves is still worked for, and asks no more before that is done
    await asyncio.wait([leaving])
    assert (await ask(house, past)).response.status_code == 429
    go_on.set()
    await asyncio.sleep(0.05)
    assert (await ask(house, past)).response.status_code == 200


async def test_what_is_told_is_made_in_another_thread(
    house: House, past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = await caller(house, past)
    house.gateway.memory.keep(remembered(request_id=f"req_{number}", identity=me) for number in range(150))
    made: Any = set()

    def noting(say: Any) -> Any:
        return lambda *given, **more: made.add(threading.current_thread()) or say(*given, **more)

    for module, name in ((hindsight, "own_brief"), (hindsight, "own"), (hindsight, "shortener"), (module_, "_answer")):
        monkeypatch.setattr(module, name, noting(getattr(module, name)))
    assert len(told(await ask(house, past, f"{PATH}?limit=100"))["requests"]) == 100
    assert told(await ask(house, past, f"{PATH}/req_149"))["found"] == 1
    assert made
    assert threading.main_thread() not in made
