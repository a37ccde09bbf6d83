"""Every source of credentials fails in every way: nothing leaves without one, what is held serves on, and it passes."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import pytest

from llmauth.context import Target
from llmauth.credentials.base import CredentialStrategy, Surroundings
from llmauth.credentials.cache import Leased
from llmauth.credentials.file import FileOptions, FileStrategy
from llmauth.credentials.status import InstanceStatus
from llmauth.errors import NoCredential
from llmauth.routers.credential import PATIENCE, CredentialRouter
from tests.e2e.credentials.outages import LONG, SHORT, Ahead, Outage, Street
from tests.e2e.credentials.rows import ROWS

pytestmark = pytest.mark.timeout(90)

OUTAGES: Sequence[Outage] = ("down", "slow", "garbage", "refuse", "broken")
CANARIES = ("canary", "payload")
RECOVERY = 15.0
BLOCKED = 0.1
# Of a life of SHORT seconds: renewed by now, and over by then.
_RENEWAL, _END = 0.82 * SHORT, 0.25 * SHORT


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory, moto: str) -> Iterator[Street]:
    with Street(tmp_path_factory.mktemp("street"), moto, ROWS) as street:
        for row in street.rows:  # what is imported at the first load is not measured; and each of them works
            row.strategy(Ahead()).load()
        yield street


@pytest.fixture
def street(standing: Street) -> Street:
    standing.live(SHORT)
    for row in standing.rows:
        for service in row.services:
            service.calls.clear()
    return standing


@dataclass
class House:
    """A router over some instances, on a clock that runs ahead, and how it is asked."""

    router: CredentialRouter
    clock: Ahead
    targets: Mapping[str, Target]
    said: list[str] = field(default_factory=list)

    def held(self) -> dict[str, Leased | None]:
        """What each instance's next request would be sent with."""
        found = {name: self.router.held(target) for name, target in self.targets.items()}
        return {name: one and one[0] for name, one in found.items()}

    def statuses(self) -> Mapping[str, InstanceStatus]:
        """Of those that are asked here."""
        return {name: one for name, one in self.router.status().items() if name in self.targets}

    async def refusals(self, names: Sequence[str]) -> dict[str, NoCredential | None]:
        """What requests to these instances are told, all at a time; `None` where one gets a credential."""
        return dict(zip(names, await asyncio.gather(*(self._refusal(name) for name in names)), strict=True))

    async def _refusal(self, name: str) -> NoCredential | None:
        try:
            await self.router.acquire(self.targets[name])
        except NoCredential as refusal:
            self.said += [refusal.message, refusal.detail]
            return refusal
        return None

    async def until(self, condition: Callable[[str, InstanceStatus], bool], within: float) -> float:
        """Wait until it holds for all, and say how long that took; the names of the others where it does not."""
        began = time.monotonic()
        while missing := [name for name, one in self.statuses().items() if not condition(name, one)]:
            reasons = {name: self.statuses()[name].strategies for name in missing}
            assert time.monotonic() - began < within, f"not within {within} s: {reasons}"
            await asyncio.sleep(0.05)
        return time.monotonic() - began


@asynccontextmanager
async def housed(
    strategies: Mapping[str, CredentialStrategy], targets: Mapping[str, Target], clock: Ahead
) -> AsyncIterator[House]:
    router = CredentialRouter({name: [one] for name, one in strategies.items()}, clock)
    try:
        yield House(router, clock, targets)
    finally:
        router.close()


@asynccontextmanager
async def unblocked(what: str) -> AsyncIterator[None]:
    """Nothing keeps the loop from another client's request for a tenth of a second."""
    gaps: list[float] = []
    ticking = asyncio.create_task(_tick(gaps))
    try:
        yield
    finally:
        ticking.cancel()
    assert max(gaps) < BLOCKED, f"{what}: the loop stood still for {max(gaps):.3f} s"


async def _tick(gaps: list[float]) -> None:
    while True:
        before = time.perf_counter()
        await asyncio.sleep(0.005)
        gaps.append(time.perf_counter() - before)


def is_ready(_: str, one: InstanceStatus) -> bool:
    return one.state == "ready"


@pytest.mark.parametrize("how", OUTAGES)
async def test_an_outage(street: Street, how: Outage, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    caplog.set_level(logging.DEBUG)
    clock = Ahead()
    strategies = {row.name: row.strategy(clock) for row in street.rows}
    lent = {row.name for row in street.rows if row.live is not None}
    targets = {row.name: row.target for row in street.rows}
    marks: list[Any] = [("begin", time.monotonic())]
    async with housed(strategies, targets, clock) as house:
        with street.outage(how):
            async with unblocked(f"{how}, at the start"):
                await _a_start_without_any(house, strategies)
        marks.append(("a", time.monotonic()))
        await house.until(is_ready, RECOVERY)
        marks.append(("b", time.monotonic()))
        held = house.held()
        assert None not in held.values()
        with street.outage(how):
            async with unblocked(f"{how}, at the renewal"):
                await _renewals_that_fail(house, held)
                marks.append(("c1", time.monotonic()))
                await _ends(house, held, lent)
                marks.append(("c2", time.monotonic()))
            street.live(LONG)
        await house.until(is_ready, RECOVERY)
        marks.append(("d", time.monotonic()))
        assert not any(one.degraded for one in house.statuses().values() if one.strategy in lent)
        print(how, [(n, round(t - marks[0][1], 2)) for n, t in marks])
        _no_secrets(street, house, held, caplog)


async def _a_start_without_any(house: House, strategies: Mapping[str, CredentialStrategy]) -> None:
    began = time.monotonic()
    house.router.prime()
    assert time.monotonic() - began < 0.05
    refusals = await house.refusals(list(strategies))
    assert time.monotonic() - began < PATIENCE + 0.5
    for name, refusal in refusals.items():
        assert refusal is not None, f"{name} has a credential"
        assert refusal.message == f"Cannot authenticate to provider {name} (tried {strategies[name].label})."
        assert refusal.detail.startswith(f"{strategies[name].label}: "), name
        assert refusal.detail.removeprefix(f"{strategies[name].label}: ") not in refusal.sentence, name


async def _renewals_that_fail(house: House, held: Mapping[str, Leased | None]) -> None:
    """All are due, and none succeeds: what is held is used on, and told as degraded."""
    house.clock.advance(_RENEWAL)

    def serves_on(name: str, one: InstanceStatus) -> bool:
        assert house.held()[name] is held[name], f"{name} does not serve what it held"
        return one.degraded

    await house.until(serves_on, 25.0)


async def _ends(house: House, held: Mapping[str, Leased | None], lent: set[str]) -> None:
    """What has an end is not used after it; what has none is used on."""
    house.clock.advance(_END)
    now = house.held()
    assert {name for name, one in now.items() if one is None} == lent
    assert all(now[name] is held[name] for name in now.keys() - lent)
    refusals = await house.refusals(sorted(lent))
    assert all(refusals.values()), f"a credential for {[name for name, one in refusals.items() if one is None]}"


def _no_secrets(
    street: Street, house: House, held: Mapping[str, Leased | None], caplog: pytest.LogCaptureFixture
) -> None:
    reasons = [str(one) for one in house.statuses().values()]
    told = "\n".join([*house.said, *reasons, *(str(vars(record)) for record in caplog.records), caplog.text])
    for secret in (*CANARIES, *street.shown()):
        assert secret not in told
