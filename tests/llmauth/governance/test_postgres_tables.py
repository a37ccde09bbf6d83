"""The tables in PostgreSQL: what is kept of a scope, who holds a lease, and what is forgotten."""

import pytest
from sqlalchemy import create_engine, func, select, update

from llmauth.governance import postgres_tables as tables
from llmauth.governance.demands import Scope

SCOPE = Scope(key="user:a", rpm=5, concurrent=2)


@pytest.fixture
def connection(postgres_url):
    engine = create_engine(postgres_url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as opened:
        tables.prepare(opened)
        yield opened
    engine.dispose()


def test_making_them_twice_changes_nothing(connection):
    tables.prepare(connection)
    assert connection.execute(select(func.count()).select_from(tables.STATES)).scalar() == 0


def test_a_state_comes_back_as_it_was_saved(connection):
    (state,) = tables.locked(connection, [SCOPE]).values()
    state.rpm, state.tpm, state.requests, state.tokens = 5, 7, 11, -(10**15)
    state.spent, state.began, state.ends = 9 * 10**15, 3600, 7200
    tables.save(connection, SCOPE.key, state)
    (again,) = tables.locked(connection, [SCOPE, SCOPE]).values()
    for name in ("at", "rpm", "tpm", "requests", "tokens", "spent", "began", "ends"):
        assert getattr(again, name) == getattr(state, name)


def test_a_holder_is_alive_as_long_as_its_lease(connection):
    tables.enter(connection, "h", None, {"user:a": 2})
    now, alive = tables.clock(connection, "h", 1000)
    assert alive
    assert tables.counted(connection, [SCOPE], now - 1000) == {"user:a": 2}
    assert tables.beat(connection, "h", 1000)
    connection.execute(update(tables.HOLDERS).values(seen_at=now - 1001))
    assert not tables.beat(connection, "h", 1000)
    assert tables.clock(connection, "h", 1000)[1] is False
    assert tables.counted(connection, [SCOPE], now - 1000) == {}


def test_what_a_former_holder_held_is_free(connection):
    tables.enter(connection, "h", None, {"user:a": 2})
    tables.enter(connection, "next", "h", {"user:a": 1})
    now, _ = tables.clock(connection, "next", 1000)
    assert tables.counted(connection, [SCOPE], now - 1000) == {"user:a": 1}
    tables.leave(connection, "next")
    assert connection.execute(select(func.count()).select_from(tables.RUNNING)).scalar() == 0


def test_counts_go_up_and_down_and_never_below_nothing(connection):
    tables.enter(connection, "h", None, {})
    now, _ = tables.clock(connection, "h", 1000)
    for change, expected in ((1, 1), (1, 2), (-1, 1), (-1, 0), (-1, 0)):
        tables.count(connection, [SCOPE], "h", change)
        assert tables.counted(connection, [SCOPE], now - 1000) == {"user:a": expected}


def test_a_holder_that_is_not_there_holds_nothing(connection):
    tables.count(connection, [SCOPE], "nobody", 1)
    assert connection.execute(select(func.count()).select_from(tables.RUNNING)).scalar() == 0


def test_callers_who_stay_away_are_forgotten_but_not_their_debts_and_spendings(connection):
    scopes = [Scope(key=key, rpm=1) for key in ("idle", "debt", "spent", "paid")]
    states = tables.locked(connection, scopes)
    now, _ = tables.clock(connection, "h", 0)
    states["debt"].tokens = -1
    states["spent"].spent, states["spent"].ends = 5, now // 1000 + 60
    states["paid"].spent, states["paid"].ends = 5, now // 1000 - 60
    for key, state in states.items():
        state.at = now - 4_000_000
        tables.save(connection, key, state)
    tables.enter(connection, "h", None, {})
    left = connection.execute(select(tables.STATES.c.scope)).scalars().all()
    assert sorted(left) == ["debt", "spent"]
