"""The credential file that GOOGLE_APPLICATION_CREDENTIALS names, as Google's own tools read it, told by its type."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from llmauth.outbound.objects import json_object
from llmauth.platform import Machine
from llmauth.secrets import GoogleAccount, Loaded, Secret
from llmauth.sources import SourceFailed, SourceUnavailable

VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS"
FEDERATED = "external_account"
HELD = ("service_account", "authorized_user", "impersonated_service_account")
"""Types of files that hold a secret of their own, which is exchanged for tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialFile:
    """A credential file: its type, and the whole of it."""

    type: str
    text: Secret
    info: Mapping[str, Any] = field(repr=False)


def parsed(text: str, what: str) -> CredentialFile:
    """A credential file out of its text. SourceFailed, beginning with `what`, for what is none."""
    told = json_object(text)
    kind = None if told is None else told.get("type")
    if told is None or not isinstance(kind, str):
        raise SourceFailed(f"{what} is no credential file of Google: JSON with a `type` is wanted")
    return CredentialFile(type=kind, text=Secret(text), info=told)


def named(machine: Machine) -> CredentialFile | None:
    """The file that the environment names, `None` where it names none. SourceFailed for one that cannot be read."""
    path = machine.environ.get(VARIABLE)
    if not path:
        return None
    text = machine.read(os.path.abspath(path))
    if text is None:
        raise SourceFailed(f"the file that {VARIABLE} names cannot be read")
    return parsed(text, f"the file that {VARIABLE} names")


class CredentialFileStrategy:
    """A file that holds an account's own secret; one of federation holds none, and is for workload_identity."""

    label = "environment"

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def unavailable(self) -> str | None:
        try:
            self.load()
        except SourceUnavailable as absent:
            return absent.reason
        except SourceFailed:
            return None
        return None

    def load(self) -> Loaded:
        """A GoogleAccount, not yet exchanged."""
        file = named(self._machine)
        if file is None:
            raise SourceUnavailable(f"the environment variable {VARIABLE} is not set")
        if file.type == FEDERATED:
            raise SourceUnavailable(f"{VARIABLE} names a file of type {FEDERATED}, which workload_identity (gcp) reads")
        if file.type not in HELD:
            raise SourceFailed(f"the file that {VARIABLE} names is of a type that is not known here: {', '.join(HELD)}")
        source = f"{file.type} file of {VARIABLE}"
        return Loaded(credential=GoogleAccount(info=file.text), source=source)
