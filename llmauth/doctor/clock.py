"""The clock of this machine, against the time that a provider tells: AWS refuses signatures of another time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime

from llmauth.doctor.findings import Finding, fail, ok, skip, warn
from llmauth.doctor.patient import Patient
from llmauth.doctor.upstream import reached
from llmauth.outbound import Answer

# AWS, "Troubleshooting SigV4": "Signature not yet current" and "expired" begin five minutes from its own time.
REFUSED, LATE = 300, 60
_FIX = "timedatectl set-ntp true (or: chronyc makestep)"
_MOMENT = 0.02


def examine(patient: Patient) -> Iterator[Finding]:
    """The first provider that answers with its time is believed."""
    yield _of_wall(patient)
    yield _of_monotonic()


def _of_wall(patient: Patient) -> Finding:
    for handler in patient.handlers.values():
        told = reached(patient, handler.base.origin)
        date = told.headers.get("date") if isinstance(told, Answer) else None
        try:
            theirs = parsedate_to_datetime(date).timestamp() if date else None
        except ValueError:
            theirs = None
        if theirs is not None:
            return _judged(patient.wall() - theirs, handler.base.host)
    return skip("clock: no provider told its time")


def _judged(ahead: float, host: str) -> Finding:
    off = abs(ahead)
    if off <= LATE:
        return ok("clock right")
    said = f"clock is {off:.0f} s {'ahead of' if ahead > 0 else 'behind'} {host}"
    if off <= REFUSED:
        return warn(f"{said}; signatures are refused from {REFUSED} s", _FIX)
    return fail(f"{said}: AWS refuses every signature", _FIX)


def _of_monotonic() -> Finding:
    """Deadlines and credentials' lives are counted by it; some emulated machines have one that stands still."""
    begun = time.monotonic()
    time.sleep(_MOMENT)
    took = time.monotonic() - begun
    if took < _MOMENT / 2:
        fix = "echo tsc > /sys/devices/system/clocksource/clocksource0/current_clocksource"
        return fail("the monotonic clock stands still", fix)
    return ok("monotonic clock runs")
