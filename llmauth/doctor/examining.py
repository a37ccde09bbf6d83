"""Examinations side by side, each in a thread and with a limit of its own: one that hangs is told of, and left."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from llmauth.doctor.findings import Finding, fail
from llmauth.doctor.patient import Patient

log = logging.getLogger(__name__)

Examine = Callable[[Patient], Iterable[Finding]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """One of them: `name` chooses it, `limit` is the seconds it may take, `pod` says that it belongs to `--k8s`."""

    name: str
    about: str
    examine: Examine
    limit: float = 10.0
    pod: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What one examination found."""

    examination: Examination
    findings: tuple[Finding, ...]


Progress = Callable[[Sequence[str]], None]
"""Told the names of those that still run."""


def examined(
    patient: Patient, examinations: Sequence[Examination], progress: Progress = lambda names: None
) -> Iterator[Report]:
    """The reports, in the order of the examinations, each as soon as those before it are there."""
    done: queue.SimpleQueue[Report] = queue.SimpleQueue()
    begun = time.monotonic()
    for one in examinations:
        # A daemon: the program may end although a system call in one of them does not.
        threading.Thread(target=_run, args=(one, patient, done), name=f"doctor-{one.name}", daemon=True).start()
    reports: dict[str, Report] = {}
    for one in examinations:
        while one.name not in reports:
            progress([other.name for other in examinations if other.name not in reports])
            _take(done, reports, begun + one.limit - time.monotonic())
            if one.name not in reports and time.monotonic() - begun >= one.limit:
                reports[one.name] = Report(examination=one, findings=(_late(one),))
        yield reports[one.name]


def _take(done: queue.SimpleQueue[Report], reports: dict[str, Report], patience: float) -> None:
    try:
        report = done.get(timeout=max(0.01, patience))
    except queue.Empty:
        return
    reports.setdefault(report.examination.name, report)


def _run(one: Examination, patient: Patient, done: queue.SimpleQueue[Report]) -> None:
    findings: list[Finding] = []
    try:
        findings.extend(replace(finding, check=one.name) for finding in one.examine(patient))
    except Exception as error:
        # The text of an error that is not ours may quote a secret.
        log.debug("an examination failed", extra={"examination": one.name, "error": type(error).__name__})
        what = f"{one.name}: the examination itself failed ({type(error).__name__})"
        findings.append(replace(fail(what, f"llmauth doctor --skip {one.name}, and report this"), check=one.name))
    done.put(Report(examination=one, findings=tuple(findings)))


def _late(one: Examination) -> Finding:
    fix = f"look at the network and the disk, then run: llmauth doctor --only {one.name}"
    return replace(fail(f"{one.name}: no result within {one.limit:g} s", fix), check=one.name)
