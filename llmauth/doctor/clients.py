"""Every client stack on this machine asks for our page through the running proxy, with what `llmauth run` gives it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from llmauth.ca import CERTIFICATE_FILE, KEY_FILE
from llmauth.clients.served import ServedInstance, ServedProxy
from llmauth.config.settings import Settings
from llmauth.doctor.findings import Finding, fail, skip
from llmauth.doctor.joining import joined_here
from llmauth.doctor.lent import NotLent, lent
from llmauth.doctor.patient import Patient, Running, standing
from llmauth.doctor.proxy import reached_at
from llmauth.doctor.stacks.found import stacks_here
from llmauth.doctor.stacks.probing import Proxied, probed
from llmauth.doctor.stacks.stack import Stack
from llmauth.doctor.threads import side_by_side
from llmauth.secrets import Secret

_AT_ONCE = 4


def examine(patient: Patient) -> Iterator[Finding]:
    """Each in a process of its own. No provider is asked: the page is the proxy's, and the session may do nothing."""
    if not patient.running and joined_here(patient) is not None:
        yield skip("clients were tried through the proxy that was joined")
        return
    target = target_of(patient)
    if target is None:
        yield skip("clients not tried; no provider's tunnel ends at this proxy")
        return
    try:
        with _proxy(patient) as running:
            yield from _through(patient, running, target)
    except NotLent as refusal:
        yield skip(f"clients not tried; {refusal}")


@contextmanager
def _proxy(patient: Patient) -> Iterator[Running]:
    """The one that runs; else one as `llmauth run` starts it, where that would make nothing that is not there yet."""
    if patient.running:
        yield patient.running[0]
        return
    if patient.starts is None or not (patient.settings.ca.folder / KEY_FILE).exists():
        raise NotLent("no proxy runs here: llmauth serve")
    with patient.starts() as process:
        found = [one for one in standing(patient.settings.home) if one.process == process]
        if not found:
            raise NotLent("the proxy that was started for them has ended: llmauth serve")
        yield found[0]


def _through(patient: Patient, running: Running, target: str) -> Iterator[Finding]:
    place, file = reached_at(running), patient.settings.ca.folder / CERTIFICATE_FILE
    if place is None:
        raise NotLent("the proxy chose its port itself")
    try:
        pem = file.read_text()
    except (OSError, ValueError):
        raise NotLent(f"{file} cannot be read") from None
    with lent(patient, running, [target]) as session:
        proxied = Proxied(
            host=place.host,
            port=place.port,
            target=target,
            authority_pem=pem,
            credential=session,
            served=served(patient, session),
            restricted=session is not None,
        )
        yield from tried(patient, proxied)


def tried(patient: Patient, proxied: Proxied) -> Iterator[Finding]:
    """Every stack that is here, a few at a time."""
    environ = dict(patient.environ)
    found, missing = stacks_here(environ)
    # git's own path would go on to the provider, were the session one that may use it.
    asked = [stack for stack in found if not stack.needs_restriction or proxied.restricted]
    yield from side_by_side(lambda stack: _one(stack, proxied, environ), asked, _AT_ONCE)
    if missing:
        yield skip(f"not on this machine: {', '.join(missing)}")


def _one(stack: Stack, proxied: Proxied, environ: dict[str, str]) -> Finding:
    """A client that cannot even be started is told of, and keeps none of the others."""
    try:
        return probed(stack, proxied, environ)
    except OSError as error:
        return fail(f"{stack.name}: cannot be started ({error.strerror})", f"install {stack.name} anew")


def target_of(patient: Patient) -> str | None:
    """A provider's own host on the usual port: OpenAI's where it is served, since most clients know it."""
    every = [handler for handler in patient.handlers.values() if handler.base.port == 443]
    first = sorted(every, key=lambda handler: handler.provider != "openai")
    return first[0].base.host if first else None


def served(patient: Patient, session: Secret | None) -> ServedProxy:
    """The proxy as `llmauth run` describes it; its URL is put in by whoever stands in front of it."""
    settings: Settings = patient.settings
    instances = tuple(
        ServedInstance(
            name=name,
            provider=handler.provider,
            hosts=tuple(sorted(host.host for host in handler.hosts)),
            default=settings.instances[name].default,
            region=handler.region,
        )
        for name, handler in patient.handlers.items()
    )
    return ServedProxy(url="http://127.0.0.1", instances=instances, authenticates=session is not None)
