"""Every source of credentials fails in every way: nothing leaves without one, what is held serves on, and it passes."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

import keyring
import pytest

from llmauth.context import Target
from llmauth.credentials.base import CredentialStrategy
from llmauth.credentials.cache import Leased
from llmauth.credentials.status import InstanceStatus
from llmauth.errors import NoCredential
from llmauth.routers.credential import PATIENCE, CredentialRouter
from tests.e2e.credentials.outages import LONG, SHORT, Ahead, Outage, Street
from tests.e2e.credentials.places import Safe, places
from tests.e2e.credentials.rows import ROWS

pytestmark = pytest.mark.timeout(90)

RECOVERY = 15.0
# How long the loop, and with it every other client, may stand still.
BLOCKED = 0.3
# Of a life of SHORT seconds: renewed by now, and over by then.
_RENEWAL, _END = 0.82 * SHORT, 0.25 * SHORT


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory, moto: str) -> Iterator[Street]:
    with Street(tmp_path_factory.mktemp("street"), moto, ROWS) as street:
        for row in street.rows:  # each of them works; and what is imported at the first load is not measured
            row.strategy(Ahead()).load()
        yield street


@pytest.fixture
def street(standing: Street) -> Street:
    standing.live(SHORT)
    for row in standing.rows:
        for service in (*row.services, *row.others):
            service.calls.clear()
    return standing


@dataclass
class House:
    """A router over some instances, on a clock that runs ahead, and how it is asked."""

    router: CredentialRouter
    clock: Ahead
    strategies: Mapping[str, CredentialStrategy]
    targets: Mapping[str, Target]
    said: list[str] = field(default_factory=list)

    def held(self) -> dict[str, Leased | None]:
        """What each instance's next request would be sent with."""
        found = {name: self.router.held(target) for name, target in self.targets.items()}
        return {name: None if one is None else one[0] for name, one in found.items()}

    async def start_without_any(self) -> None:
        """It starts at once, and every request is refused in time, by the name of the strategy alone."""
        began = time.monotonic()
        self.router.prime()
        assert time.monotonic() - began < 1.0  # the least that a source which hangs would take
        refusals = await asyncio.gather(*map(self.refusal, self.targets))
        assert time.monotonic() - began < PATIENCE + 0.5
        for (name, strategy), refusal in zip(self.strategies.items(), refusals, strict=True):
            assert refusal is not None, f"{name} has a credential"
            assert refusal.message == f"Cannot authenticate to provider {name} (tried {strategy.label})."
            label, _, reason = refusal.detail.partition(": ")
            assert label == strategy.label, name
            assert reason not in refusal.sentence, name

    async def refusal(self, name: str) -> NoCredential | None:
        """What a request to this instance is told, `None` where it gets a credential."""
        try:
            await self.router.acquire(self.targets[name])
        except NoCredential as refusal:
            self.said += [refusal.message, refusal.hint, refusal.detail]
            return refusal
        return None

    def told(self, caplog: pytest.LogCaptureFixture) -> str:
        """All that anybody was told, in whatever place."""
        statuses = [str(one) for one in self.router.status().values()]
        return "\n".join([caplog.text, *self.said, *statuses, *(str(vars(record)) for record in caplog.records)])

    async def recover(self) -> None:
        """Wait until all have one."""
        await self.until(lambda _, one: one.state == "ready", RECOVERY)

    async def fail_to_renew(self, seconds: float, held: Mapping[str, Leased | None]) -> None:
        """So many seconds later all are due, and none succeeds: what is held is used on, and told as degraded."""
        self.clock.advance(seconds)

        def serves_on(name: str, one: InstanceStatus) -> bool:
            now, before = self.held()[name], held[name]
            assert now is not None, f"{name} has nothing left"
            assert before is not None
            assert now.credential == before.credential, f"{name} does not serve what it held"
            return one.degraded

        await self.until(serves_on, 25.0)

    async def until(self, condition: Callable[[str, InstanceStatus], bool], within: float) -> None:
        """Wait until it holds for all; AssertionError with the others and their reasons where it does not in time."""
        ends = time.monotonic() + within
        while missing := {name: one for name, one in self.router.status().items() if not condition(name, one)}:
            told = {name: one.strategies[0] for name, one in missing.items()}
            assert time.monotonic() < ends, f"not within {within} s: {told}"
            await asyncio.sleep(0.05)


@asynccontextmanager
async def housed(made: Mapping[str, tuple[CredentialStrategy, Target]], clock: Ahead) -> AsyncIterator[House]:
    """All waits between two questions are as short as they may be, since the tests need not be longer."""
    strategies = {name: strategy for name, (strategy, _) in made.items()}
    targets = {name: target for name, (_, target) in made.items()}
    # As mitmproxy does it with the loop that all this lives on.
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    router = CredentialRouter({name: [one] for name, one in strategies.items()}, clock, jitter=lambda: 1.0)
    try:
        yield House(router, clock, strategies, targets)
    finally:
        router.close()


@asynccontextmanager
async def unblocked() -> AsyncIterator[None]:
    """Nothing keeps the loop from the requests of others."""
    gaps: list[float] = []
    ticking = asyncio.create_task(_tick(gaps))
    try:
        yield
    finally:
        ticking.cancel()
    *_, seldom, _, largest = sorted(gaps)
    assert seldom < BLOCKED, f"the loop stood still for {seldom:.3f} s, more than twice"
    # A machine that has no time for us may cost a moment; a question that is asked on the loop costs a second and more.
    assert largest < 1.0, f"the loop stood still for {largest:.3f} s"


async def _tick(gaps: list[float]) -> None:
    while True:
        before = time.perf_counter()
        await asyncio.sleep(0.005)
        gaps.append(time.perf_counter() - before)


@pytest.mark.parametrize("how", ["down", "slow", "garbage", "refuse", "broken"])
async def test_an_outage_of_everything(street: Street, how: Outage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    clock = Ahead()
    made = {row.name: (row.strategy(clock), row.target) for row in street.rows}
    lent = {row.name for row in street.rows if row.live is not None}
    async with housed(made, clock) as house:
        async with unblocked() if how == "slow" else nullcontext():
            with street.outage(how):
                await house.start_without_any()
            await house.recover()
            held = house.held()
            assert None not in held.values()
            with street.outage(how):
                await house.fail_to_renew(_RENEWAL, held)
                await _end_for_those_that_end(house, held, lent, ask=how != "slow")
                street.live(LONG)
            await house.recover()
        assert None not in house.held().values()
        _no_secrets(street, house, caplog)


async def _end_for_those_that_end(
    house: House, held: Mapping[str, Leased | None], lent: set[str], *, ask: bool
) -> None:
    house.clock.advance(_END)
    now = house.held()
    assert {name for name, one in now.items() if one is None} == lent
    assert all(now[name] is held[name] for name in now.keys() - lent)
    if ask:
        assert all(await asyncio.gather(*map(house.refusal, lent)))


def _no_secrets(street: Street, house: House, caplog: pytest.LogCaptureFixture) -> None:
    told = house.told(caplog)
    assert [secret for secret in ("canary", *street.shown()) if secret in told] == []
    # What is new is said as an error each time: a time limit that is another one each time would be new for ever.
    assert not re.search(r"[0-9]\.[0-9]{2,} s\b", told)


async def test_sources_that_hang_do_not_hold_up_one_that_answers(street: Street, tmp_path: Path) -> None:
    """Forty-six hang, and the last of all does not."""
    clock = Ahead()
    made = {
        f"{row.name}_{number}": (row.strategy(clock), replace(row.target, instance=f"{row.name}_{number}"))
        for row in street.rows
        for number in (1, 2)
    }
    file = next(place for place in places(tmp_path, Safe()) if place.name == "file_missing")
    file.mend()
    made["last"] = (file.strategy(clock), replace(file.target, instance="last"))
    async with housed(made, clock) as house, unblocked():
        with street.outage("slow"):
            house.router.prime()
            await house.until(lambda name, one: name != "last" or one.state == "ready", 3.0)


@pytest.fixture
def safe() -> Iterator[Safe]:
    before, safe = keyring.core._keyring_backend, Safe()
    keyring.set_keyring(safe)
    yield safe
    safe.mend()
    keyring.core._keyring_backend = before


async def test_places_on_this_machine(safe: Safe, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file that is gone, a pipe that nobody writes to, bytes without sense, a keyring or a program that waits."""
    caplog.set_level(logging.DEBUG)
    clock, there = Ahead(), places(tmp_path, safe)
    made = {place.name: (place.strategy(clock), place.target) for place in there}
    async with housed(made, clock) as house, unblocked():
        for place in there:
            place.fail()
        await house.start_without_any()
        for place in there:
            place.mend()
        clock.advance(10)  # what they wait before they are asked again is no other than above
        await house.recover()
        held = house.held()
        for place in there:
            place.fail()
        await house.fail_to_renew(100, held)
        for place in there:
            place.mend()
        clock.advance(60)
        await house.until(lambda _, one: not one.degraded, RECOVERY)
        assert "canary" not in house.told(caplog)
