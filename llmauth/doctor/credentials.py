"""The credential of each instance: which strategy gave it, until when, and that its provider accepts it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

from llmauth.control.checking import of_accepted, of_permissions
from llmauth.credentials.keyring import KeyringOptions
from llmauth.doctor.findings import Finding, fail, ok, skip, warn
from llmauth.doctor.patient import Patient
from llmauth.doctor.wording import span
from llmauth.gateway.acceptance import accepted
from llmauth.gateway.permissions import permissions
from llmauth.gateway.trial import Taken, take
from llmauth.platform import ThisMachine

_SOON = 300


def examine(patient: Patient) -> Iterator[Finding]:
    """By the running proxy, which has them; where none runs every source is asked once."""
    if not patient.handlers:
        yield skip("no instance is configured")
    for name in patient.handlers:
        yield from _of_instance(patient, name)


def _of_instance(patient: Patient, name: str) -> Iterator[Finding]:
    told = standing(patient).get(name)
    if told is None or told["strategy"] is None:
        reasons = "; ".join(f"{one['strategy']}: {one['reason']}" for one in (told or {}).get("strategies", ()))
        yield fail(f"{name} has no credential ({reasons or 'no strategy is configured'})", _fix(patient, name))
        return
    yield from _in_use(name, told)
    yield _of_provider(patient, name, acceptance(patient, name))


def _in_use(name: str, told: Mapping[str, Any]) -> Iterator[Finding]:
    left = told["expires_in"]
    age = told.get("loaded_ago")
    old = "" if age is None or left is None else f", {span(age)} old"
    what = f"{name} by {told['strategy']}{old}{'' if left is None else f', ends in {span(left)}'}"
    if told.get("degraded"):
        yield warn(f"{what}; its renewal fails", "llmauth creds (it tells the reason)")
    elif left is not None and left < _SOON:
        yield warn(what, f"llmauth creds --drill expire {name}")
    else:
        yield ok(what)


def _fix(patient: Patient, name: str) -> str:
    if patient.handlers[name].provider in ("openai", "anthropic", "azure"):
        return keep_key(patient, name)
    return f"llmauth creds, then instances: {{{name}: {{authentication: {{strategies: [{{type: …}}]}}}}}}"


def keep_key(patient: Patient, name: str) -> str:
    """How a key of this instance is put where it looks: into the keyring, or where its first strategy says."""
    kept = any(isinstance(one, KeyringOptions) for one in patient.settings.instances[name].strategies)
    setting = f"instances: {{{name}: {{authentication: {{strategies: [{{type: keyring}}]}}}}}}"
    before = "" if kept else f"{setting}, then "
    return f"{before}llmauth secret set {name}"


def _of_provider(patient: Patient, name: str, told: Mapping[str, Any] | None) -> Finding:
    if told is None:
        return skip(f"{name}: its credential was not shown to the provider")
    call, status, outcome = told["call"], told["status"], told["outcome"]
    match outcome:
        case "accepted":
            return ok(f"{name}: {call} → {status}")
        case "forbidden":
            return ok(f"{name}: known to its provider ({call} → {status})")
        case "refused":
            return fail(
                f"{name}: its provider refuses the credential ({call} → {status})", f"llmauth secret set {name}"
            )
        case "untried":
            return skip(f"{name}: {told['reason']}")
        case "unreached":
            return warn(f"{name}: {told['reason']}", "llmauth doctor --only upstream")
        case _:
            fix = "the status page of the provider, then: llmauth doctor --only credentials"
            return warn(f"{name}: {call} → {status}, which tells nothing of the credential", fix)


# ---- asked once, by whoever holds the credential -------------------------------------------------------------------


def standing(patient: Patient) -> Mapping[str, Any]:
    """Each instance as a running proxy tells of it, or as it would be."""
    return patient.once("standing", lambda: _standing(patient))


def _standing(patient: Patient) -> Mapping[str, Any]:
    told = patient.ask({"ask": "credentials"})
    if told is not None:
        instances: Mapping[str, Any] = told["instances"]
        return instances
    return {name: _of_taken(one, patient.wall()) for name, one in taken(patient).items()}


def taken(patient: Patient) -> Mapping[str, Taken]:
    """The credential of each instance, fetched here, since no proxy runs that has one."""
    return patient.once("taken", lambda: asyncio.run(take(patient.settings, ThisMachine(patient.environ))))


def _of_taken(one: Taken, wall: float) -> dict[str, Any]:
    ends = one.loaded.expires_at if one.loaded is not None else None
    return {
        "strategy": one.strategy,
        "expires_in": None if ends is None else round(ends - wall),
        "strategies": [{"strategy": label, "reason": reason} for label, reason in one.refusals],
    }


def acceptance(patient: Patient, name: str) -> Mapping[str, Any] | None:
    """What the provider's free call says of it."""
    if patient.running:
        return _of(patient.ask({"ask": "check", "instance": name}), "accepted")
    loaded = taken(patient)[name].loaded
    if loaded is None:
        return None
    return of_accepted(accepted(patient.handlers[name], loaded.credential, patient.outbound))


def permitted(patient: Patient, name: str, model: str) -> Mapping[str, Any] | None:
    """Which of Bedrock's actions it may do."""
    if patient.running:
        return _of(patient.ask({"ask": "permit", "instance": name, "model": model}), "permissions")
    loaded = taken(patient)[name].loaded
    if loaded is None:
        return None
    handler = patient.handlers[name]
    return of_permissions(permissions(handler, loaded.credential, patient.outbound, patient.environ, model))


def _of(answer: Mapping[str, Any] | None, key: str) -> Mapping[str, Any] | None:
    found = answer.get(key) if answer is not None else None
    return found if isinstance(found, dict) else None
