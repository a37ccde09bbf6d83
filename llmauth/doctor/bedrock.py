"""The four actions that the role of a Bedrock instance needs, each told without a token being paid for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from llmauth.doctor.credentials import permitted, standing
from llmauth.doctor.findings import Finding, fail, ok, skip, warn
from llmauth.doctor.patient import Patient
from llmauth.gateway.permissions import ANY_MODEL

_MEANS = {
    "bedrock:InvokeModel": "requests will fail",
    "bedrock:InvokeModelWithResponseStream": "streaming will fail",
    "bedrock:ListFoundationModels": "lists of models will fail",
    "bedrock:GetFoundationModel": "what is known of a model cannot be read",
}


def examine(patient: Patient) -> Iterator[Finding]:
    """One role after another; nothing where no instance is Bedrock's."""
    names = [name for name, handler in patient.handlers.items() if handler.provider == "bedrock"]
    if not names:
        yield skip("no instance of Bedrock")
    for name in names:
        told = standing(patient).get(name)
        if told is None or told["strategy"] is None:
            yield skip(f"{name}: no credential, so its permissions were not asked for")
            continue
        found = permitted(patient, name, model_of(patient, name))
        if found is None:
            yield skip(f"{name}: its permissions could not be asked for")
        else:
            yield from _told(name, found, several=len(names) > 1)


def model_of(patient: Patient, name: str) -> str:
    """A model that the configuration leads to this instance; a well-known one where it names none."""
    entries = (one for one in patient.settings.models.values() if one.instance == name and one.model)
    first = next(entries, None)
    return patient.handlers[name].upstream(first.model or ANY_MODEL) if first is not None else ANY_MODEL


def _told(name: str, found: Mapping[str, Any], *, several: bool) -> Iterator[Finding]:
    role = str(found["principal"]).rpartition("/")[2] or f"of the role of {name}"
    beside = f" ({name})" if several else ""
    for one in found["actions"]:
        action, reason = one["action"], one["reason"]
        means = _MEANS.get(action, "requests will fail")
        match one["state"]:
            case "allowed":
                yield ok(f"{action}{beside}")
            case "denied":
                why = f", {reason}" if reason else ""
                yield fail(f"{action}{beside} denied{why} → {means}", f"Add it to policy {role}.")
            case "no_model_access":
                model = found["model"]
                yield warn(f"{action}{beside}: the account has no access to {model}", "Bedrock console, Model access")
            case _:
                yield skip(f"{action}{beside} not known: {reason}")
