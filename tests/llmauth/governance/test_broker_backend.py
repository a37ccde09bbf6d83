"""A worker's side of the process that counts for all workers."""

import asyncio

import pytest

from llmauth.governance.backends import BackendFailed
from llmauth.governance.broker import BrokerServer
from llmauth.governance.broker_backend import BrokerBackend
from llmauth.governance.demands import Permit
from tests.fixtures.limiters import demand

WANTED = demand(5, user_a={"concurrent": 1, "tpm": 10})


@pytest.fixture
async def served(tmp_path):
    server = BrokerServer()
    await server.serve(tmp_path / "limits.sock")
    yield tmp_path / "limits.sock", server
    await server.stop()


async def test_many_questions_at_a_time_have_their_own_answers(served):
    backend = BrokerBackend(served[0])
    await backend.enter("h", None, {})
    answers = await asyncio.gather(*(backend.admit("h", demand(user_a={"rpm": 5})) for _ in range(50)))
    assert sum(answer.admitted for answer in answers) == 5
    assert all(answer.known for answer in answers)
    await backend.close()


async def test_what_was_settled_counts(served):
    backend = BrokerBackend(served[0])
    await backend.enter("h", None, {})
    answer = await backend.admit("h", WANTED)
    assert not (await backend.admit("h", WANTED)).admitted
    await backend.settle("h", Permit(WANTED, answer.readings).settlement(10, None), ends=True)
    (reading,) = (await backend.admit("h", WANTED)).readings
    assert reading.running == 0  # it has ended, and the tokens are gone
    await backend.leave("h")
    await backend.close()


async def test_without_a_connection_nothing_is_asked(served):
    backend = BrokerBackend(served[0])
    with pytest.raises(BackendFailed, match="has ended the connection"):
        await backend.admit("h", WANTED)


async def test_nobody_there(tmp_path):
    with pytest.raises(BackendFailed, match="cannot be reached"):
        await BrokerBackend(tmp_path / "none.sock").enter("h", None, {})


async def test_a_parent_that_ends_is_seen_at_once(served):
    path, server = served
    backend = BrokerBackend(path)
    await backend.enter("h", None, {})
    await server.stop()
    async with asyncio.timeout(2):
        with pytest.raises(BackendFailed):
            await _beats(backend)
    await backend.close()


@pytest.mark.parametrize("answer", [b"garbage", (5).to_bytes(4) + b"[1,2]", (8).to_bytes(4) + b"[1,true]"])
async def test_garbage_is_a_failure(tmp_path, answer):
    """F2: garbage."""

    async def talks(reader, writer):
        await reader.read(1)
        writer.write(answer)
        writer.close()

    server = await asyncio.start_unix_server(talks, str(tmp_path / "x"))
    backend = BrokerBackend(tmp_path / "x")
    async with asyncio.timeout(2):
        with pytest.raises(BackendFailed):
            await _enters_and_asks(backend)
    await backend.close()
    server.close()


async def _beats(backend):
    while True:
        await backend.beat("h")


async def _enters_and_asks(backend):
    await backend.enter("h", None, {})
    await backend.admit("h", WANTED)
