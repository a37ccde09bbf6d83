"""Long bodies are read in threads of their own; short ones where they are."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from addons import answers, route, translate
from addons.answers import Answers
from addons.apart import LONG, apart
from addons.route import Route
from addons.translate import Translate
from llmauth.errors import BadRequest
from tests.addons import flows
from tests.addons.conftest import House
from tests.addons.test_answers import SAID, told
from tests.addons.test_route import arrived, status
from tests.addons.test_translate import CHAT, COUNT, HELLO, JSON, MODELS


@pytest.fixture
def sections() -> dict[str, Any]:
    return {"models": MODELS}


Threads = dict[str, str]


@pytest.fixture
def read_in(monkeypatch: pytest.MonkeyPatch) -> Threads:
    """The thread in which each step was last done."""
    seen: Threads = {}
    for module, name in ((route, "asking"), (route, "unpack"), (translate, "_ready"), (answers, "_said")):
        monkeypatch.setattr(module, name, _noting(seen, name, getattr(module, name)))
    return seen


def _noting(seen: Threads, name: str, step: Callable[..., Any]) -> Callable[..., Any]:
    def noted(*words: Any) -> Any:
        seen[name] = threading.current_thread().name.partition("_")[0]
        return step(*words)

    return noted


async def done(result: Awaitable[None] | None) -> None:
    if result is not None:
        await result


LONG_TEXT, SHORT_TEXT = "x" * LONG, "x"


@pytest.mark.parametrize(("text", "thread"), [(LONG_TEXT, "reader"), (SHORT_TEXT, "MainThread")])
@pytest.mark.parametrize("path", [CHAT, COUNT])
async def test_a_long_request_is_read_apart(
    house: House, read_in: Threads, path: bytes, text: str, thread: str
) -> None:
    body = json.dumps({"model": "claude", "messages": HELLO, "user": text}).encode()
    flow = arrived(house, flows.gateway(house.exchanges, path, JSON, method=b"POST"))
    routing, translating = Route(house.exchanges), Translate(house.gateway, house.exchanges)
    routing.requestheaders(flow)
    flow.request.raw_content = body
    await done(routing.request(flow))
    await done(translating.request(flow))
    assert status(flow) in (None, 200), flow.response
    assert read_in == {"asking": thread, "_ready": thread}


async def test_a_long_answer_is_read_apart(house: House, read_in: Threads) -> None:
    flow = arrived(house, flows.gateway(house.exchanges, CHAT, JSON, method=b"POST"))
    routing, translating = Route(house.exchanges), Translate(house.gateway, house.exchanges)
    routing.requestheaders(flow)
    flow.request.raw_content = json.dumps({"model": "claude", "messages": HELLO}).encode()
    routing.request(flow)
    translating.request(flow)
    house.exchanges.of(flow).sent_at = 1.0
    long = {**SAID, "content": [{"type": "text", "text": LONG_TEXT}]}
    flows.answered(flow, 200, (b"content-type", b"application/json"), body=json.dumps(long).encode())
    answering = Answers(house.gateway, house.exchanges)
    answering.responseheaders(flow)
    await done(answering.response(flow))
    assert read_in == {"asking": "MainThread", "_ready": "MainThread", "_said": "reader"}
    assert told(flow)["choices"][0]["message"]["content"] == LONG_TEXT


async def test_what_is_wrong_with_a_long_body_is_told_as_of_a_short_one(house: House) -> None:
    flow = arrived(house, flows.gateway(house.exchanges, CHAT, JSON, method=b"POST"))
    routing = Route(house.exchanges)
    routing.requestheaders(flow)
    flow.request.raw_content = b'{"model":3,"x":"' + LONG_TEXT.encode() + b'"}'
    await done(routing.request(flow))
    assert (status(flow), told(flow)["error"]["code"]) == (400, "invalid_request")


async def test_the_loop_goes_on_meanwhile() -> None:
    going = threading.Event()
    job = asyncio.ensure_future(apart(lambda: going.wait(5)))
    await asyncio.sleep(0)
    going.set()
    assert await job is True


async def test_what_a_job_raises_is_raised() -> None:
    def fails() -> None:
        raise BadRequest("No.")

    with pytest.raises(BadRequest):
        await apart(fails)
