"""Where limits are counted, by URL."""

from pathlib import Path

import pytest

from llmauth.governance.memory import MemoryLimiter
from llmauth.governance.places import MEMORY, describe, open_limiter, parse_place
from llmauth.governance.shared import SharedLimiter


@pytest.mark.parametrize(
    ("url", "kind", "where"),
    [
        ("redis://h", "redis", "h:6379"),
        ("rediss://user:hunter2@h:7000/3?ssl_ca_certs=/ca.pem", "redis", "h:7000/3"),
        ("redis://[::1]:7000/0", "redis", "[::1]:7000/0"),
        ("postgresql://u:hunter2@h/db", "postgresql", "h:5432/db"),
        ("postgres://u@h:6000/db?sslmode=verify-full", "postgresql", "h:6000/db"),
    ],
)
def test_places_and_how_they_are_shown(url, kind, where):
    place = parse_place(url)
    assert (place.kind, place.where) == (kind, where)
    assert "hunter2" not in repr(place) + describe(place)
    assert place.url.reveal() == url


@pytest.mark.parametrize(
    "url",
    [
        *("", "Memory", "mysql://h/x", "redis://", "redis://h/x", "redis://h/0/1", "redis://h:99999", "redis://h#x"),
        *("postgresql://h", "postgresql:///db", "redis+socket://h", "sqlite:///x"),
        *("redis://h?ssl_cert_reqs=none", "redis://h?socket_timeout=900", "redis://h?protocol=3"),
        *("postgresql://h/db?host=elsewhere", "postgresql://h/db?passfile=/etc/x", "postgresql://h/db?options=-c"),
    ],
)
def test_what_is_no_place_or_would_weaken_it_is_refused(url):
    with pytest.raises(ValueError):
        parse_place(url)


@pytest.mark.parametrize(
    ("url", "may"),
    [
        ("redis://far", True),
        ("rediss://far", False),
        ("redis://127.0.0.1", False),
        ("postgresql://far/db", True),
        ("postgresql://far/db?sslmode=require", True),
        ("postgresql://far/db?sslmode=verify-full", False),
    ],
)
def test_who_may_be_listened_to(url, may):
    assert parse_place(url).may_be_read_on_the_way() is may
    assert not MEMORY.may_be_read_on_the_way()


async def test_the_engine_of_each_place(tmp_path: Path):
    assert isinstance(open_limiter(MEMORY), MemoryLimiter)
    for limiter, place in (
        (open_limiter(MEMORY, broker=tmp_path / "x"), "the parent process of this machine's workers"),
        (open_limiter(parse_place("redis://h"), broker=tmp_path / "x"), "Redis at h:6379"),
        (open_limiter(parse_place("postgresql://h/db")), "PostgreSQL at h:5432/db"),
    ):
        assert isinstance(limiter, SharedLimiter)
        assert limiter.place == place
        await limiter.stop()


def test_the_log_says_who_shares_the_limits():
    assert describe(MEMORY).startswith("Limits are per process: another replica has limits of its own")
    assert describe(MEMORY, 4).startswith("Limits are shared by this machine's 4 workers; another replica")
    assert describe(parse_place("redis://h"), 4) == (
        "Limits are shared through Redis at h:6379, by all processes and replicas that use it."
    )
