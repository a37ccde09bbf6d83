"""Redis as a backend: every way in which it can fail is one kind of failure, in our own words."""

import asyncio

import pytest

from llmauth.governance.backends import BackendFailed
from llmauth.governance.redis_backend import RedisBackend
from llmauth.secrets import Secret
from tests.fixtures.limiters import demand
from tests.fixtures.redis_server import RedisServer

WANTED = demand(user_a={"rpm": 5, "concurrent": 1})


def backend(url: str, lease: float = 12.0) -> RedisBackend:
    return RedisBackend(Secret(url), "here", lease=lease)


async def failure(url: str) -> str:
    one = backend(url)
    with pytest.raises(BackendFailed) as caught:
        async with asyncio.timeout(3):
            await one.enter("h", None, {})
    await one.close()
    assert caught.value.__cause__ is None
    return str(caught.value)


async def test_a_lease_ends_and_is_renewed(redis_url):
    one = backend(redis_url, 0.2)
    await one.enter("h", None, {})
    assert await one.beat("h")
    assert (await one.admit("h", WANTED)).admitted
    await asyncio.sleep(0.25)
    assert not await one.beat("h")
    assert not (await one.admit("h", WANTED)).known
    await one.enter("h2", "h", {})
    assert (await one.admit("h2", WANTED)).admitted  # what the former held is free
    await one.close()


async def test_what_runs_is_told_anew(redis_url):
    one, other = backend(redis_url), backend(redis_url)
    await one.enter("h", None, {"user:a": 1})
    await other.enter("o", None, {})
    assert not (await other.admit("o", WANTED)).admitted
    await one.leave("h")
    assert (await other.admit("o", WANTED)).admitted
    for each in (one, other):
        await each.close()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda url: url.replace("redis://:", "redis://:wrong"), "refuses the user or password of storage.limits_url"),
        (lambda url: "redis://" + url.partition("@")[2], "wants a password, and storage.limits_url has none"),
        (lambda url: url.replace("/0", "/99"), "refused a command"),
        (lambda url: url.replace("redis:", "rediss:"), "cannot be reached, or does not answer"),
    ],
)
async def test_what_is_wrong_with_the_url_is_told_without_it(redis_url, change, why):
    """F2: access denied."""
    assert await failure(change(redis_url)) == why


async def test_a_server_that_is_down_or_slow():
    """F2: down, slow."""
    with RedisServer() as server:
        server.freeze()
        assert "does not answer" in await failure(server.url)
        server.thaw()
        server.stop()
        assert "cannot be reached" in await failure(server.url)
        server.start()


async def test_a_server_that_talks_garbage():
    """F2: garbage."""

    async def talks(reader, writer):
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\nhunter2")
        writer.close()

    garbage = await asyncio.start_server(talks, "127.0.0.1", 0)
    port = garbage.sockets[0].getsockname()[1]
    assert "hunter2" not in await failure(f"redis://127.0.0.1:{port}/0")
    garbage.close()


async def test_a_user_who_may_not_run_scripts(redis_server, redis_url):
    redis_server.say("ACL", "SETUSER", "weak", "on", ">pw", "~*", "+ping", "+client", "+select")
    url = f"redis://weak:pw@127.0.0.1:{redis_server.port}/0"
    assert await failure(url) == "denies our user a command that limits need"
    redis_server.say("ACL", "DELUSER", "weak")


async def test_a_full_server_lets_nothing_in(redis_server, redis_url):
    one = backend(redis_url)
    await one.enter("h", None, {})
    redis_server.say("CONFIG", "SET", "maxmemory", "1")
    try:
        with pytest.raises(BackendFailed, match="has no memory left"):
            await one.admit("h", WANTED)
    finally:
        redis_server.say("CONFIG", "SET", "maxmemory", "0")
    await one.close()


async def test_a_server_that_forgot_its_scripts_is_told_them_again(redis_server, redis_url):
    one = backend(redis_url)
    await one.enter("h", None, {})
    redis_server.say("SCRIPT", "FLUSH")
    assert (await one.admit("h", WANTED)).admitted
    await one.close()


async def test_something_else_under_our_keys_is_a_failure(redis_server, redis_url):
    one = backend(redis_url)
    await one.enter("h", None, {})
    redis_server.say("SET", "{llmauth-limits}:scope:user:a", "x")
    with pytest.raises(BackendFailed):
        await one.admit("h", WANTED)
    await one.close()
