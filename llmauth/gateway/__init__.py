"""The composition root: settings in, a plan to judge by out; what all plans share; and how one follows another."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from wsgiref.simple_server import WSGIServer

from cryptography.x509 import Certificate

from llmauth.audit.writer import AuditLog
from llmauth.ca import Authority
from llmauth.chat.thoughts import Thoughts
from llmauth.clock import Clock, SystemClock
from llmauth.config.governors import open_governor
from llmauth.config.settings import Settings
from llmauth.credentials.chain import Asked
from llmauth.credentials.status import InstanceStatus
from llmauth.gateway import callers, standing
from llmauth.gateway.callers import Standing
from llmauth.gateway.exporting import exporter_of
from llmauth.gateway.hindsight import Hindsight
from llmauth.gateway.plan import Plan, Way
from llmauth.gateway.planning import LEARNED, Basis, authority, hosts_to_sign, make
from llmauth.gateway.recording import Recording
from llmauth.gateway.seat import Seat
from llmauth.governance.governor import Governor
from llmauth.hindsight.memory import Memory
from llmauth.platform import Platform, ThisMachine
from llmauth.platform.desktop import desktop_features
from llmauth.providers.base import ProviderHandler
from llmauth.routers.credential import CredentialRouter
from llmauth.storage.home import prepare
from llmauth.telemetry.metrics import Metrics
from llmauth.telemetry.sums import Snapshot

__all__ = ["LEARNED", "Gateway", "Plan", "Readiness", "Way", "authority", "hosts_to_sign"]

logger = logging.getLogger(__name__)

# How long the credentials of new instances may keep a new plan from being followed.
WARM_UP = 12.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Whether requests can be served now: callers can be judged, what is decided can be recorded, and at least one
    instance has a credential.

    `keys` is `ok`, `last_known` where they are judged by what a store told before its outage, or `unreadable`; `audit`
    is `ok`, `off` or `unwritable`.
    """

    ready: bool
    keys: str
    audit: str
    instances: Mapping[str, InstanceStatus]


class Gateway:
    """Everything that answers a question about a request. Must be made inside the event loop that it serves.

    `plan` is what a request that arrives now is judged by; each keeps the one of its arrival. Raises StateError,
    CaError, ConfigError or ValueError for what must not start: an unreadable key store, a missing CA, a method of
    authentication that cannot be used as it is written, a host that the CA may not sign.
    """

    def __init__(
        self, settings: Settings, environ: Mapping[str, str], clock: Clock | None = None, *, seat: Seat | None = None
    ) -> None:
        clock = clock or SystemClock()
        prepare(settings.home)
        self.seat = seat
        self.metrics_of_all: Callable[[], Awaitable[bytes]] | None = None
        # Asks every process of this gateway the same, and blocks; None where there is one.
        self.ask_all: Callable[[Mapping[str, Any]], list[dict[str, Any]]] | None = None
        self.metrics = Metrics()
        self.thoughts = Thoughts(clock)
        self.memory = Memory()
        self.recording = Recording(AuditLog(settings.home, clock) if settings.audit.enabled else None)
        common = Standing.open(settings, environ, clock, self.metrics.auth_failed)
        self._keys, self.tokens, self._flights = common.keys, common.tokens, common.flights
        self._basis = Basis(
            standing=common,
            governor=_governor(settings, seat, clock),
            machine=ThisMachine(environ),
            clock=clock,
            observe=self._asked,
        )
        try:
            self.plan = make(settings, self._basis)
        except BaseException:
            self._keys.close()
            raise
        self.metrics.know(self.plan.catalogue.known())
        self.metrics.only(self.plan.handlers)
        self.hindsight = Hindsight(self.memory, lambda: self.plan.governor)
        self.desktop = desktop_features(self.platform, environ)
        self.exporter = exporter_of(settings.telemetry.otlp, self.plan.outbound, self.metrics)
        self._former: list[Plan] = []
        self._had_credential: set[str] = set()
        self._metrics_server: WSGIServer | None = None

    def _asked(self, instance: str, asked: Asked) -> None:
        self.metrics.credential_asked(instance, asked.result)
        self.recording.credential(instance, asked)
        handler = self.plan.handlers.get(instance)
        if handler is not None and handler.provider == "bedrock" and asked.result != "unavailable":
            self.metrics.aws_credential_retrieved(instance, ok=asked.result == "success")

    def start(self) -> None:
        """Read the keys and begin the audit record, which must succeed; and to fetch credentials, which need not."""
        self.recording.start()
        callers.start(self.plan.callers.judges())
        self.plan.credential.prime()
        if self.exporter is not None:
            self.exporter.start()
        listener = self.settings.metrics
        if listener is not None and self.seat is None:
            self._metrics_server = self.metrics.serve(listener.port, listener.host, refresh=self.readiness)

    def close(self) -> None:
        """Write what is still to be written, and stop every thread."""
        if self._metrics_server is not None:
            self._metrics_server.shutdown()
            self._metrics_server.server_close()
        if self.exporter is not None:
            self.exporter.stop()
        self._flights.close()
        for former in self._former:
            former.credential.close()
            callers.stop(former.callers.beside([self.plan.callers]))
        self.plan.credential.close()
        callers.stop(self.plan.callers.judges())
        self._keys.close()
        self.recording.stop()

    # ---- from one plan to the next ---------------------------------------------------------------------------------

    async def prepare(self, settings: Settings) -> Plan:
        """A plan that could be followed at once: its methods have read what they need, and the credentials of its new
        instances are there, or were asked for in vain. Nothing of it counts yet; `adopt` or `abandon` it.

        Raises what keeps a server from starting: ConfigError, CaError, StateError, OSError or ValueError.
        """
        plan = await asyncio.to_thread(make, settings, self._basis, self.plan)
        await asyncio.to_thread(callers.start, plan.callers.beside([self.plan.callers]))
        try:
            async with asyncio.timeout(WARM_UP):
                await plan.credential.warm_up()
        except TimeoutError:
            pass  # as at a start: what has no credential yet is told by its instance, and by /ready
        except BaseException:
            await self.abandon(plan)
            raise
        return plan

    async def abandon(self, plan: Plan) -> None:
        """A plan that was prepared is not followed."""
        plan.credential.let_go([self.plan.credential])
        await asyncio.to_thread(callers.stop, plan.callers.beside([self.plan.callers]))

    def adopt(self, plan: Plan) -> None:
        """Judge whatever arrives from now on by this plan. What arrived before is judged by the one of its arrival."""
        before, self.plan = self.plan, plan
        self._former.append(before)
        before.credential.rest()
        plan.credential.prime()
        self.metrics.know(plan.catalogue.known())
        self.metrics.only(plan.handlers)

    async def let_go(self, needed: Collection[Plan]) -> None:
        """End what only plans have that no request needs any more: of those before, `needed` are still asked."""
        kept = {id(plan) for plan in needed}
        over = [plan for plan in self._former if id(plan) not in kept]
        if not over:
            return
        self._former = [plan for plan in self._former if id(plan) in kept]
        living = [self.plan, *self._former]
        ended = {id(judge): judge for plan in over for judge in plan.callers.beside(one.callers for one in living)}
        for plan in over:
            plan.credential.let_go([one.credential for one in living])
        await asyncio.to_thread(callers.stop, ended.values())

    @property
    def has_former(self) -> bool:
        """Whether there are plans that were followed before, and may be needed still."""
        return bool(self._former)

    # ---- for whoever is no request ---------------------------------------------------------------------------------

    @property
    def settings(self) -> Settings:
        """The configuration of now."""
        return self.plan.settings

    @property
    def authority(self) -> Authority:
        """The CA of now."""
        return self.plan.authority

    @property
    def handlers(self) -> Mapping[str, ProviderHandler]:
        """The instances of now."""
        return self.plan.handlers

    @property
    def credential(self) -> CredentialRouter:
        """The credential router of now."""
        return self.plan.credential

    @property
    def platform(self) -> Platform:
        """Where this process is taken to run."""
        return self.plan.surroundings.platform

    @property
    def limits(self) -> Governor:
        """Who counts, whatever the rules are."""
        return self._basis.governor

    def client_authorities(self) -> Sequence[Certificate] | None:
        """Whose client certificates are asked for on the TLS port, `None` where none are."""
        return self.plan.callers.authorities()

    def readiness(self) -> Readiness:
        """What /ready shows; asks no source, so that it can be asked often."""
        instances = self.plan.credential.status()
        usable, recorded = self.plan.auth.usable(), self.recording.usable()
        with_credential = self._has_credential(instances)
        ready = usable and recorded and with_credential
        keys = ("last_known" if self._keys.is_behind() else "ok") if usable else "unreadable"
        standing.show(
            self.metrics,
            ready=ready,
            keys=keys,
            instances=instances,
            recording=self.recording,
            limiter=self.limits.limiter,
            authority_ends=self.authority.expires_at,
        )
        return Readiness(ready=ready, keys=keys, audit=self.recording.state(), instances=instances)

    def _has_credential(self, instances: Mapping[str, InstanceStatus]) -> bool:
        """Whether one has. A credential that its provider refused is on its way again: until its sources were asked in
        vain that is no reason to send callers elsewhere, where the same provider would refuse the same."""
        self._had_credential |= {name for name, one in instances.items() if one.state == "ready"}
        self._had_credential -= {name for name, one in instances.items() if one.state == "failed"}
        return not self._had_credential.isdisjoint(instances)

    def snapshot_metrics(self) -> Snapshot:
        """The same as plain values, for whoever adds up those of several processes."""
        self.readiness()
        return self.metrics.snapshot()

    def render_metrics(self) -> tuple[bytes, str]:
        """The metrics as text, with the gauges brought up to date."""
        self.readiness()
        return self.metrics.render()


def _governor(settings: Settings, seat: Seat | None, clock: Clock) -> Governor:
    """Among several workers of one machine their parent counts, where nobody further away does."""
    if seat is None:
        return open_governor(settings, clock=clock)
    return open_governor(settings, workers=seat.workers, broker=seat.limits, clock=clock)
