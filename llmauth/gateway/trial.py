"""What the strategies of a configuration say here and now, or would say on another machine; nothing is served."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from llmauth import providers
from llmauth.clock import Clock, SystemClock
from llmauth.config.settings import Settings
from llmauth.credentials.base import CredentialStrategy
from llmauth.credentials.cache import LOADS_AT_ONCE, Source
from llmauth.credentials.chain import unexpired
from llmauth.gateway.sourcing import outbound_of, strategies_of, surroundings_of
from llmauth.platform import Machine, Platform
from llmauth.secrets import Loaded
from llmauth.sources import SourceFailed, SourceUnavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What one strategy says. `reason` is why it gives nothing, `None` where it gives a credential, or would be asked
    for one; `source` and `expires_at` (Unix time) are those of the credential."""

    label: str
    reason: str | None = None
    source: str | None = None
    expires_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """The platform, and for each instance its strategies in their order."""

    platform: Platform
    instances: Mapping[str, Sequence[Outlook]]


def foresee(settings: Settings, machine: Machine) -> Trial:
    """What would happen on this machine, told without asking anybody: the first that is not unavailable is asked."""
    platform, strategies = _made(settings, machine, SystemClock())
    return Trial(
        platform=platform,
        instances={
            name: [Outlook(label=one.label, reason=one.unavailable()) for one in ordered]
            for name, ordered in strategies.items()
        },
    )


async def ask(settings: Settings, machine: Machine) -> Trial:
    """Ask every strategy of every instance once, all at a time, each under its deadline."""
    platform, strategies = _made(settings, machine, SystemClock())
    slots = asyncio.Semaphore(LOADS_AT_ONCE)
    answers = await asyncio.gather(
        *(asyncio.gather(*(_asked(one, slots) for one in ordered)) for ordered in strategies.values())
    )
    return Trial(platform=platform, instances=dict(zip(strategies, answers, strict=True)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """The credential that an instance would use now, and the strategy it came from; why those before it gave none."""

    loaded: Loaded | None = field(default=None, repr=False)
    strategy: str | None = None
    refusals: tuple[tuple[str, str], ...] = ()


async def take(settings: Settings, machine: Machine) -> Mapping[str, Taken]:
    """Ask the strategies of each instance in their order, all instances at a time, up to the first that gives one."""
    _, strategies = _made(settings, machine, SystemClock())
    slots = asyncio.Semaphore(LOADS_AT_ONCE)
    found = await asyncio.gather(*(_taken(ordered, slots) for ordered in strategies.values()))
    return dict(zip(strategies, found, strict=True))


async def _taken(ordered: Sequence[CredentialStrategy], slots: asyncio.Semaphore) -> Taken:
    refusals: list[tuple[str, str]] = []
    for one in ordered:
        try:
            loaded = unexpired(await Source(one, slots).load(), time.time())
        except (SourceUnavailable, SourceFailed) as refusal:
            refusals.append((one.label, refusal.reason))
        except Exception as error:
            refusals.append((one.label, f"unexpected {type(error).__name__}"))
        else:
            return Taken(loaded=loaded, strategy=one.label, refusals=tuple(refusals))
    return Taken(refusals=tuple(refusals))


def _made(
    settings: Settings, machine: Machine, clock: Clock
) -> tuple[Platform, dict[str, Sequence[CredentialStrategy]]]:
    handlers = {name: providers.build(name, one, clock) for name, one in settings.instances.items()}
    surroundings = surroundings_of(settings, machine, outbound_of(settings), clock)
    return surroundings.platform, strategies_of(settings, handlers, surroundings)


async def _asked(strategy: CredentialStrategy, slots: asyncio.Semaphore) -> Outlook:
    try:
        loaded = unexpired(await Source(strategy, slots).load(), time.time())
    except (SourceUnavailable, SourceFailed) as refusal:
        return Outlook(label=strategy.label, reason=refusal.reason)
    except Exception as error:
        return Outlook(label=strategy.label, reason=f"unexpected {type(error).__name__}")
    return Outlook(label=strategy.label, source=loaded.source, expires_at=loaded.expires_at)
