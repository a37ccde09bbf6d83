"""The proxy itself: that it is alive, that it can serve, and that it lets a known caller in."""

from __future__ import annotations

from collections.abc import Iterator

from llmauth.addresses import HostPort
from llmauth.doctor.findings import Finding, fail, ok, skip, warn
from llmauth.doctor.joining import joined_here
from llmauth.doctor.lent import NotLent, lent
from llmauth.doctor.patient import Patient, Running
from llmauth.doctor.stacks.probing import CHECKUP
from llmauth.outbound import METADATA, Answer, Outbound
from llmauth.sources import SourceFailed

_SERVE = "llmauth serve"
_TIME_LIMIT = 4.0
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def examine(patient: Patient) -> Iterator[Finding]:
    """Asked at its plain port, from this machine."""
    running = patient.running
    profile = joined_here(patient)
    if not running and profile is not None:
        yield skip(f"no proxy runs on this machine; {profile.authority} was joined")
        return
    if not running:
        yield warn("no proxy runs on this state folder", _SERVE)
        return
    place = reached_at(running[0])
    if place is None:
        yield skip("the proxy chose its port itself, so it is not asked")
        return
    health = _asked(place, "/health")
    if not isinstance(health, Answer) or health.status != 200:
        yield fail(f"process {running[0].process} runs, and {place} does not answer /health: {_said(health)}", _SERVE)
        return
    yield ok("proxy answers")
    yield from _ready(place)
    yield _authenticated(patient, running[0], place)


def reached_at(running: Running) -> HostPort | None:
    """The plain port of a proxy on this machine; `None` for one that took any port."""
    return HostPort(_ANY.get(running.host, running.host), running.port) if running.port else None


def _asked(place: HostPort, path: str, fields: dict[str, str] | None = None) -> Answer | str:
    """In clear text, to this machine's own address alone."""
    outbound = Outbound(trust=METADATA, time_limit=_TIME_LIMIT)
    try:
        return outbound.ask("GET", f"http://{place}{path}", fields)
    except SourceFailed as failure:
        return failure.reason


def _ready(place: HostPort) -> Iterator[Finding]:
    told = _asked(place, "/ready")
    facts = told.object() if isinstance(told, Answer) else None
    if facts is None or not isinstance(told, Answer):
        yield fail(f"proxy does not tell whether it is ready: {_said(told)}", _SERVE)
        return
    if told.status == 200:
        yield ok("proxy ready")
    elif facts.get("status") == "draining":
        yield warn("proxy is draining: it ends when its last answers are out", f"wait, then: {_SERVE}")
    else:
        what = f"proxy not ready: keys {facts.get('keys')}, audit {facts.get('audit')}, or no instance has a credential"
        yield fail(what, "llmauth creds")


def _authenticated(patient: Patient, running: Running, place: HostPort) -> Finding:
    try:
        with lent(patient, running, ()) as session:
            fields = {} if session is None else {"X-API-Key": session.reveal()}
            told = _asked(place, CHECKUP, fields)
    except NotLent as refusal:
        return skip(str(refusal))
    if isinstance(told, Answer) and told.status == 200:
        return ok("a key is let in" if session is not None else "everybody on this machine is let in")
    return fail(
        f"a key that was just made is not let in: {_said(told)}",
        "start it again with the same --config and LLMAUTH_HOME: llmauth serve",
    )


def _said(told: Answer | str) -> str:
    return told if isinstance(told, str) else f"status {told.status}"
