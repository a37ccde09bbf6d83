"""The memory that this pod may take, against what the configuration lets bodies take together."""

from __future__ import annotations

from collections.abc import Iterator

from llmauth.config.limits import written
from llmauth.doctor.findings import Finding, fail, ok, skip, warn
from llmauth.doctor.patient import Patient

# cgroup v2, and v1, whose number for "no limit" is the largest that there is.
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_USED = ("/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory/memory.usage_in_bytes")
_NO_LIMIT = 1 << 50
_MIB = 1024 * 1024
_OWN = 192 * _MIB  # the process itself, with room for streams
_NEARLY = 0.9


def examine(patient: Patient) -> Iterator[Finding]:
    """A pod that takes more is killed in the middle of every answer."""
    limit = _number(patient, _LIMITS)
    if limit is None or limit >= _NO_LIMIT:
        yield skip("no memory limit")
        return
    used = _number(patient, _USED) or 0
    buffered = patient.settings.limits.buffered_bytes
    room = max(limit - _OWN, 32 * _MIB) // _MIB
    if limit < _OWN:
        yield fail(
            f"memory limit {limit // _MIB} MiB is less than the proxy needs", "resources: {limits: {memory: 512Mi}}"
        )
    elif used > limit * _NEARLY:
        yield warn(
            f"memory {used // _MIB} of {limit // _MIB} MiB used", "resources: {limits: {memory: …}}, twice as much"
        )
    elif buffered + _OWN > limit:
        what = f"memory limit {limit // _MIB} MiB, and bodies may take {written(buffered)} of it"
        yield warn(what, f"limits: {{buffered_bytes: {room}MiB}}, or resources: {{limits: {{memory: 1536Mi}}}}")
    else:
        yield ok(f"memory limit {limit // _MIB} MiB")


def _number(patient: Patient, files: tuple[str, ...]) -> int | None:
    for file in files:
        text = patient.machine.read(file)
        if text is not None:
            return int(text) if text.isdigit() else None
    return None
