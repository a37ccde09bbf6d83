"""What was let in ends, whatever hook fails or hangs on its answer: its place is free again, and its end is told."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from addons.exchange import Exchanges
from llmauth.demo.emulators import Emulators
from llmauth.telemetry.access import Outcome
from tests.addons import flows
from tests.addons.exchanges import exchange
from tests.addons.test_failing_hooks import ANSWERING, DOORS, FAULTS, Sabotage, nothing, pairs, with_everywhere
from tests.fixtures.master import Running, run

ONE = {"default": {"concurrent": 1}}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway where everybody may have one request at a time."""
    with Emulators(pace=0.001, tokens=4) as providers:
        folder = tmp_path_factory.mktemp("master")
        running = run(folder, providers, chain=with_everywhere, hook_time_limit=0.1, policies=ONE)
        yield running
        running.stop()


@pytest.mark.parametrize("fault", ["Exception", "CancelledError, awaited", "hangs", "hangs when all was done"])
def test_m1_a_hook_that_fails_on_an_answer_keeps_no_place(served: Running, fault: str) -> None:
    """The next request, in the same moment, is let in: nobody waits for a look at what was dropped."""
    kept = []
    for addon, hook in pairs(served, ANSWERING):
        for door in DOORS:
            with Sabotage(served, addon, hook, FAULTS[fault]) as sabotage:
                door(served, served.key)
            assert sabotage.fired
            after = door(served, served.key)
            if after is None or after.status != 200:
                kept.append((type(addon).__name__, hook, door.__name__, after and after.status))
    assert kept == []


def test_each_of_them_is_told_once_and_with_its_use(served: Running) -> None:
    report = served.master.addons.get("report")
    told: list[Outcome] = []

    def listen() -> None:
        report.tell()  # of those before
        report._also = (told.extend,)

    served.call(listen)
    with Sabotage(served, served.master.addons.get("answers"), "response", FAULTS["Exception"]):
        DOORS[0](served, served.key)
    served.call(report.tell)
    served.call(report.tell)
    served.call(lambda: setattr(report, "_also", ()))
    assert [(one.cut, one.usage.output if one.usage else None) for one in told] == [(True, 4)]


def test_without_a_word_of_it_what_is_over_is_looked_for(served: Running) -> None:
    """Should a hook be left out, the place is free as soon as somebody looks, which is four times a second."""
    report = served.master.addons.get("report")
    with Sabotage(served, report, "response", lambda original: nothing):
        assert DOORS[0](served, served.key).status == 200
    ends = time.monotonic() + 2
    status = None
    while status != 200 and time.monotonic() < ends:
        status = DOORS[0](served, served.key).status
        time.sleep(0.05)
    assert status == 200


def test_for_a_client_that_left_a_hook_may_still_be_at_work(exchanges: Exchanges) -> None:
    """Ended too early, what it sends after that would count for nothing."""
    over, left = flows.gateway(exchanges), flows.gateway(exchanges)
    for each in (over, left):
        exchanges.begin(each, exchange())
    over.live = False
    left.client_conn.timestamp_end = 1.0
    assert exchanges.prune(100.0) == [over]
    assert not exchanges.open
    assert exchanges.prune(159.0) == []
    assert exchanges.prune(161.0) == [left]
    assert exchanges.prune(500.0) == []
