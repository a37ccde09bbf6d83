"""What a credential strategy is: a label, a blocking load, two ways to say no; and where it stands."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Protocol, runtime_checkable

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from llmauth.clock import Clock, SystemClock
from llmauth.context import ProviderType
from llmauth.durations import parse_duration
from llmauth.outbound import Outbound
from llmauth.platform import Machine, Platform, SimulatedMachine
from llmauth.platform.probes import Probes
from llmauth.secrets import Loaded
from llmauth.vaults.base import NoVaults, Vaults


class CredentialStrategy(Protocol):
    """One place that a credential can come from; asked in a thread of its own, never twice at the same time."""

    @property
    def label(self) -> str:
        """How logs, readiness and refusals name it: `environment`, `workload_identity (aws)`."""
        ...

    def unavailable(self) -> str | None:
        """Why this source is certainly not here, told without asking it: no network, nothing read but small files of
        the platform. `None` where only `load` can tell. `load` itself raises SourceUnavailable with the same reason."""
        ...

    def load(self) -> Loaded:
        """Ask the source anew and block until it answers; raise SourceUnavailable or SourceFailed."""
        ...


@runtime_checkable
class Remembering(Protocol):
    """A strategy that may give the same credential again without asking for another."""

    def forget(self) -> None:
        """The provider refused it: give another one the next time. Called on the event loop; never blocks."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Where a strategy stands: for which instance, on which machine, and how it may reach others.

    `outbound` is the way to public services, with the roots and the proxy that are configured for providers.
    """

    instance: str = ""
    provider: ProviderType = "openai"
    region: str | None = None
    machine: Machine = field(default_factory=lambda: SimulatedMachine({}))
    platform: Platform = field(default_factory=Platform)
    probes: Probes = field(default_factory=Probes)
    outbound: Outbound = field(default_factory=Outbound)
    clock: Clock = field(default_factory=SystemClock)
    vaults: Vaults = field(default_factory=NoVaults)

    @property
    def environ(self) -> Mapping[str, str]:
        """The machine's environment."""
        return self.machine.environ


class Options(BaseModel):
    """Base of every strategy's options: frozen, no unknown key, and no error that repeats what was written."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def _seconds(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("a length of time is wanted, and no yes or no")
    return parse_duration(value) if isinstance(value, str) else value


# As long as the longest length of time that can be written in letters; `.inf` and 1e300 are numbers of YAML as well.
_HUNDRED_YEARS = 36_500 * 86_400
Seconds = Annotated[float, BeforeValidator(_seconds), Field(ge=1, le=_HUNDRED_YEARS)]
"""A time span in the configuration: a number of seconds, or `2s`, `90m`, `12h`, `90d`."""


def moment(text: str) -> float:
    """ISO 8601 to Unix time; a time without a zone is UTC, as AWS writes all its own. ValueError if it is neither."""
    parsed = datetime.fromisoformat(text)
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()


def quiet_libraries() -> None:
    """Hold the libraries that strategies use at WARNING, whatever our own level is.

    botocore's debug lines hold the canonical request with its security token, urllib3's the query strings.
    """
    for name in ("botocore", "urllib3", "keyring", "azure", "msal", "google", "hvac"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Its warning about a failed refresh carries a traceback with the text of AWS's answer; we log our own line.
    logging.getLogger("botocore.credentials").setLevel(logging.ERROR)
