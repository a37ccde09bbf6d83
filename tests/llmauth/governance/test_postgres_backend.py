"""PostgreSQL as a backend: every way in which it can fail is one kind of failure, in our own words, and in time."""

import asyncio
import time

import psycopg
import pytest

from llmauth.governance.backends import BackendFailed
from llmauth.governance.postgres_backend import PostgresBackend
from llmauth.secrets import Secret
from tests.fixtures.limiters import demand
from tests.fixtures.postgres import PostgresServer

WANTED = demand(user_a={"rpm": 5, "concurrent": 1})


def backend(url: str, lease: float = 12.0) -> PostgresBackend:
    return PostgresBackend(Secret(url), "here", lease=lease)


async def failure(url: str) -> str:
    one = backend(url)
    with pytest.raises(BackendFailed) as caught:
        await one.enter("h", None, {})
    await one.close()
    assert caught.value.__cause__ is None
    return str(caught.value)


async def test_a_lease_ends_and_is_renewed(postgres_url):
    one = backend(postgres_url, 0.2)
    await one.enter("h", None, {})
    assert await one.beat("h")
    assert (await one.admit("h", WANTED)).admitted
    await asyncio.sleep(0.25)
    assert not await one.beat("h")
    assert not (await one.admit("h", WANTED)).known
    await one.enter("h2", "h", {})
    assert (await one.admit("h2", WANTED)).admitted
    await one.leave("h2")
    await one.close()


async def test_processes_that_start_together_make_the_tables_once(postgres_url):
    several = [backend(postgres_url) for _ in range(4)]
    await asyncio.gather(*(one.enter(f"h{number}", None, {}) for number, one in enumerate(several)))
    for one in several:
        await one.close()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda url: url.replace("owner:", "owner:wrong"), "refuses the user or password of storage.limits_url"),
        (lambda url: url.replace("owner:", "nobody:"), "refuses the user or password of storage.limits_url"),
        (lambda url: url + "x", "has no database of that name"),
        (lambda url: url + "?sslmode=require", "cannot be reached by TLS as storage.limits_url asks for it"),
    ],
)
async def test_what_is_wrong_with_the_url_is_told_without_it(postgres_url, change, why):
    """F2: access denied."""
    assert await failure(change(postgres_url)) == why


async def test_a_user_who_may_not_make_the_schema(postgres_url):
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS weak")
        connection.execute("CREATE ROLE weak LOGIN PASSWORD 'pw'")
    rest = postgres_url.partition("@")[2]
    assert "it needs CREATE on the database once" in await failure(f"postgresql://weak:pw@{rest}")


async def test_something_else_in_our_schema(postgres_url):
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA llmauth_limits")
        connection.execute("CREATE TABLE llmauth_limits.running (mine text)")
    assert await failure(postgres_url) == "has something else in its schema llmauth_limits"


async def test_a_row_that_others_hold_is_waited_for_no_longer_than_a_second(postgres_url):
    """F2: slow."""
    one = backend(postgres_url)
    await one.enter("h", None, {})
    await one.admit("h", WANTED)
    with psycopg.connect(postgres_url) as other:
        other.execute("LOCK TABLE llmauth_limits.states")
        began = time.monotonic()
        with pytest.raises(BackendFailed):
            await one.admit("h", WANTED)
        assert time.monotonic() - began < 2.5
    assert (await one.admit("h", WANTED)).known
    await one.close()


async def test_a_server_that_is_down_or_hangs():
    """F2: down, slow."""
    with PostgresServer() as server:
        one = backend(server.url(server.fresh()))
        await one.enter("h", None, {})
        server.freeze()
        began = time.monotonic()
        with pytest.raises(BackendFailed):
            await one.admit("h", WANTED)
        assert time.monotonic() - began < 2.5
        server.thaw()
        server.stop()
        with pytest.raises(BackendFailed):
            await one.admit("h", WANTED)
        server.start()
        await one.enter("h2", "h", {})
        assert (await one.admit("h2", WANTED)).admitted
        await one.close()


async def test_a_server_that_talks_garbage():
    """F2: garbage."""

    async def talks(reader, writer):
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\nhunter2")
        writer.close()

    garbage = await asyncio.start_server(talks, "127.0.0.1", 0)
    port = garbage.sockets[0].getsockname()[1]
    assert "hunter2" not in await failure(f"postgresql://u:p@127.0.0.1:{port}/db")
    garbage.close()
