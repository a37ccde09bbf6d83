"""The process that counts for the workers of one machine."""

import asyncio
import socket
import stat

import pytest

from llmauth.clock import ManualClock
from llmauth.governance.broker import BrokerServer
from llmauth.governance.broker_wire import packed, received, scopes_as_words
from llmauth.governance.demands import Scope
from llmauth.governance.memory import MemoryLimiter

SCOPE = Scope(key="user:a", concurrent=2)
OPEN: list["Worker"] = []


@pytest.fixture(autouse=True)
async def closed():
    yield
    while OPEN:
        OPEN.pop().writer.close()


@pytest.fixture
def limiter():
    return MemoryLimiter(ManualClock())


@pytest.fixture
async def path(tmp_path, limiter):
    server = BrokerServer(limiter)
    await server.serve(tmp_path / "limits.sock")
    yield tmp_path / "limits.sock"
    await server.stop()


class Worker:
    """The other end, by hand."""

    def __init__(self, reader, writer) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def at(cls, path):
        worker = cls(*await asyncio.open_unix_connection(str(path)))
        OPEN.append(worker)
        return worker

    async def asked(self, *words):
        self.writer.write(packed(1, *words))
        return (await received(self.reader))[1:]

    async def admitted(self) -> bool:
        answer = await self.asked("admit", scopes_as_words([SCOPE]), 1, 0)
        return bool(answer[1])

    async def is_closed(self) -> bool:
        async with asyncio.timeout(2):
            return await self.reader.read() == b""


async def test_only_its_owner_reaches_it(path):
    """R4."""
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_worker_that_goes_away_has_nothing_running(path, limiter):
    one, other = await Worker.at(path), await Worker.at(path)
    for worker in (one, other):
        await worker.asked("enter", {})
    assert [await one.admitted() for _ in range(3)] == [True, True, False]
    one.writer.close()
    async with asyncio.timeout(2):
        while limiter.running():
            await asyncio.sleep(0.001)
    assert await other.admitted()


async def test_a_worker_that_comes_back_tells_what_runs(path, limiter):
    worker = await Worker.at(path)
    await worker.asked("enter", {"user:a": 2})
    assert limiter.running() == {"user:a": 2}
    assert not await worker.admitted()
    await worker.asked("enter", {"user:a": 1})
    assert await worker.admitted()


async def test_who_has_not_entered_is_let_do_nothing(path):
    worker = await Worker.at(path)
    assert await worker.asked("beat") == [False]
    assert await worker.asked("admit", scopes_as_words([SCOPE]), 1, 0) == [False]
    await worker.asked("enter", {})
    assert await worker.asked("beat") == [True]


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["shutdown"],
        ["enter", 5],
        ["enter", {"user:a": "many"}],
        ["settle", [["user:a"]], 1, 1, [0], True],
        ["settle", [], "x", 1, [], True],
    ],
)
async def test_nonsense_ends_the_connection_and_nothing_else(path, words):
    worker, other = await Worker.at(path), await Worker.at(path)
    worker.writer.write(packed(1, *words))
    assert await worker.is_closed()
    assert await other.asked("beat") == [False]


async def test_bytes_that_are_no_message_end_the_connection(path):
    worker = await Worker.at(path)
    worker.writer.write(b"\xff" * 100)
    assert await worker.is_closed()


async def test_the_socket_of_a_killed_process_is_replaced(tmp_path, limiter):
    left = tmp_path / "limits.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(left))
    server = BrokerServer(limiter)
    await server.serve(left)
    assert await (await Worker.at(left)).asked("beat") == [False]
    await server.stop()


async def test_a_file_in_its_place_is_not_taken_away(tmp_path, limiter):
    (tmp_path / "limits.sock").write_text("mine")
    with pytest.raises(OSError, match="in use"):
        await BrokerServer(limiter).serve(tmp_path / "limits.sock")
    assert (tmp_path / "limits.sock").read_text() == "mine"


def test_in_the_background_of_a_process_without_a_loop(tmp_path):
    path = tmp_path / "limits.sock"

    async def beats():
        worker = await Worker.at(path)
        answer = await worker.asked("beat")
        OPEN.pop().writer.close()
        return answer

    with BrokerServer().in_background(path):
        assert asyncio.run(beats()) == [False]
    assert not path.exists()
