"""The exporter that a configuration means, and how it reaches its collector."""

from __future__ import annotations

from functools import partial

from llmauth.config.telemetry import Otlp
from llmauth.outbound import Outbound, Trust
from llmauth.sources import SourceFailed
from llmauth.telemetry.metrics import Metrics
from llmauth.telemetry.otlp.exporter import Exporter, Signal

_SECONDS = 4.0
_TAKEN = range(200, 300)


def exporter_of(options: Otlp | None, outbound: Outbound, metrics: Metrics) -> Exporter | None:
    """None where no collector is configured: then nothing is sent to anybody."""
    if options is None:
        return None
    # By the address that its name has when it is asked: clear text leads to this machine's own network alone.
    reach = outbound.trusting(Trust(ca_file=options.ca_file, private=True, plain=True), time_limit=_SECONDS)
    return Exporter(
        partial(_send, reach, options),
        known=metrics.known,
        count=metrics.exported,
        interval=options.interval,
        metrics=options.metrics,
        traces=options.traces,
    )


def _send(reach: Outbound, options: Otlp, signal: Signal, body: bytes) -> str | None:
    fields = {name: value.reveal() for name, value in options.headers.items()}
    fields["Content-Type"] = "application/json"
    try:
        status = reach.ask("POST", f"{options.endpoint}/v1/{signal}", fields, body).status
    except SourceFailed as failure:
        return failure.reason
    return None if status in _TAKEN else f"it answers {status}"
