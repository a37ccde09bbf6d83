"""The metrics of how this process and its instances stand, apart from what requests make of them."""

from __future__ import annotations

import platform
from collections.abc import Callable, Collection, Mapping

from prometheus_client import ProcessCollector

from llmauth import __version__
from llmauth.clock import Clock
from llmauth.telemetry.definitions import Definitions, Described, Kind

RELOADS = ("success", "failure")
CHECKS = ("live", "ready", "keys", "audit", "limits")
"""What `health_check_status` tells of: `ready` is what /ready answers; the last three are parts of it, or beside it."""

_OF_THE_PROCESS: tuple[tuple[str, Kind, str], ...] = (
    ("process_cpu_seconds_total", "counter", "User and system time spent."),
    ("process_resident_memory_bytes", "gauge", "Memory that is held."),
    ("process_virtual_memory_bytes", "gauge", "Memory that is addressed."),
    ("process_open_fds", "gauge", "Open files and sockets."),
    ("process_max_fds", "gauge", "How many there may be."),
    ("process_start_time_seconds", "gauge", "When the process started, in Unix time."),
)
OF_THE_PROCESS = tuple(
    Described(name=name, kind=kind, text=text, labels=(), section="This process")
    for name, kind, text in _OF_THE_PROCESS
)
"""What the metrics' library tells of the process, where the system has /proc."""

Running = Callable[[], Mapping[str, int]]
"""How many requests run now, by instance; asked from any thread."""


class Standing:
    """Gauges, most of them set when somebody asks, and counters of what is no request."""

    def __init__(self, define: Definitions, clock: Clock) -> None:
        self._clock = clock
        self._active: dict[str, str] = {}
        self._earliest: dict[str, int] = {}
        self._names: set[str] = set()
        self._ask_running: Running | None = None
        ProcessCollector(registry=define.registry)
        self._define_credentials(define)
        self._define_configuration(define)
        self._define_process(define)

    # ---- the process -------------------------------------------------------------------------------------------------

    def _define_process(self, define: Definitions) -> None:
        define.about("This process")
        self._health = define.gauge("health_check_status", "Whether a check passes (1) or not.", "check")
        self.clients = define.gauge("connected_clients", "Open client connections.")
        self.tunnels = define.gauge("open_tunnels", "Open tunnels to hosts that are no provider.")
        self._running = define.gauge("requests_in_flight", "Requests that an instance serves now.", "instance")
        build = define.gauge("llmauth_build_info", "Always 1; its labels tell what runs.", "version", "python")
        build.labels(__version__, platform.python_version()).set(1)
        self._waiting = define.gauge("audit_records_waiting", "Records that are noted and not yet written.")
        self._ca_ends = define.gauge("ca_expiry_seconds", "Until the certificate authority ends.")

        self._exports = define.counter(
            "telemetry_exports_total", "What was told to a collector of OpenTelemetry.", "signal", "result"
        )
        self._dropped = define.counter(
            "telemetry_spans_dropped_total", "Spans that no collector took, or for which there was no room."
        )

    def exported(self, signal: str, result: str) -> None:
        """What became of an export: `sent` or `failed`; or `dropped`, for each span."""
        if result == "dropped":
            self._dropped.inc()
        else:
            self._exports.labels(signal, result).inc()

    def health(self, check: str, healthy: bool) -> None:
        """The outcome of one of CHECKS."""
        self._health.labels(check).set(1 if healthy else 0)

    def watch_requests(self, running: Running) -> None:
        """Ask this for `requests_in_flight` whenever somebody looks."""
        self._ask_running = running

    def look(self) -> None:
        """Bring up to date what is only found by counting."""
        if self._ask_running is not None:
            running = self._ask_running()
            for instance in list(self._names):
                self._running.labels(instance).set(running.get(instance, 0))

    def audit_waits(self, records: int) -> None:
        """How many records of the audit are noted and not yet written."""
        self._waiting.set(records)

    def authority_ends(self, at: float) -> None:
        """The Unix time at which the certificate authority ends."""
        self._ca_ends.set_function(lambda: at - self._clock.wall())

    # ---- credentials -------------------------------------------------------------------------------------------------

    def _define_credentials(self, define: Definitions) -> None:
        define.about("Credentials")
        self.aws_retrievals = define.counter(
            "aws_credential_retrievals_total", "How often AWS credentials were asked for.", "instance", "result"
        )
        self.refreshes = define.counter(
            "credential_refresh_total",
            "How often a source of credentials was asked, by what it said: `success`, `unavailable`, `error`.",
            "instance",
            "result",
        )
        self.retries = define.counter(
            "credential_retries_total",
            "Requests that were sent once more, after the provider had refused the credential.",
            "instance",
        )
        self._expiry = define.gauge(
            "credential_expiry_seconds", "Until the credential in use ends.", "instance", "strategy"
        )
        self._strategy = define.gauge(
            "credential_strategy_active", "Whether a strategy is the one in use (1) or not.", "instance", "strategy"
        )
        self._ready = define.gauge("credential_ready", "Whether an instance has a credential (1) or not.", "instance")
        self._degraded = define.gauge(
            "credential_degraded",
            "Whether an instance has a credential whose renewal fails (1) or not.",
            "instance",
        )
        self._standby = define.gauge(
            "credential_standby_active",
            "Whether an instance is served by a later strategy than one that has served it before (1) or not.",
            "instance",
        )

    def credential(self, instance: str, strategy: str | None, expires_at: float | None) -> None:
        """The strategy that now serves an instance, `None` when none does, and the Unix time its credential ends."""
        self._names.add(instance)
        before = self._active.get(instance)
        if before is not None and before != strategy:
            self._strategy.labels(instance, before).set(0)
            self._expiry.remove(instance, before)  # removing what was never there is no error to this library
        self._ready.labels(instance).set(0 if strategy is None else 1)
        if strategy is None:
            self._active.pop(instance, None)
            return
        self._active[instance] = strategy
        self._strategy.labels(instance, strategy).set(1)
        if expires_at is None:
            self._expiry.remove(instance, strategy)
        else:
            left = self._expiry.labels(instance, strategy)
            left.set_function(lambda: max(0.0, expires_at - self._clock.wall()))

    def renewal(self, instance: str, *, degraded: bool, place: int | None) -> None:
        """Whether the credential of an instance is one that cannot be renewed; and the place of the strategy that gave
        it in the order of all, `None` where none did."""
        self._degraded.labels(instance).set(degraded)
        if place is None:
            return
        earliest = self._earliest[instance] = min(place, self._earliest.get(instance, place))
        self._standby.labels(instance).set(place > earliest)

    def only(self, instances: Collection[str]) -> None:
        """Forget the gauges of instances that the configuration no longer has."""
        for gone in self._names - set(instances):
            self.credential(gone, None, None)
            self._earliest.pop(gone, None)
            for gauge in (self._ready, self._degraded, self._standby, self._running):
                gauge.remove(gone)
        for new in set(instances) - self._names:
            self.retries.labels(new)
        self._names = set(instances)

    # ---- the configuration -------------------------------------------------------------------------------------------

    def _define_configuration(self, define: Definitions) -> None:
        define.about("Configuration")
        self._loaded_at = define.gauge(
            "config_reload_success_timestamp", "When a configuration was last taken over, in Unix time."
        )
        self._loaded = define.gauge(
            "config_last_reload_successful", "Whether the last configuration that was read was taken over (1) or not."
        )
        self._reloads = define.counter("config_reloads_total", "Configurations that were read while running.", "result")
        for result in RELOADS:
            self._reloads.labels(result)
        self._loaded_at.set(round(self._clock.wall(), 3))
        self._loaded.set(1)

    def config_reloaded(self, ok: bool) -> None:
        """A configuration was read while running; with `ok` it is the one in use now."""
        self._reloads.labels(RELOADS[0] if ok else RELOADS[1]).inc()
        self._loaded.set(1 if ok else 0)
        if ok:
            self._loaded_at.set(round(self._clock.wall(), 3))
