"""A session that the running proxy lends for a check: it lives two minutes, may use nothing, and is taken back."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from llmauth.control.client import ControlFailed, ask_one
from llmauth.control.place import folder_of, sockets
from llmauth.doctor.patient import Patient, Running
from llmauth.secrets import Secret

USER = "llmauth-doctor"
LIFE = 120.0
# The other workers of a proxy follow the store of sessions within a second.
_SEEN_AFTER = 1.2


class NotLent(Exception):
    """Why no session can be lent; a sentence."""


@contextmanager
def lent(patient: Patient, by: Running, hosts: Iterable[str]) -> Iterator[Secret | None]:
    """A session by which tunnels to these hosts may be opened, and no model, instance or other host be used; None
    where nobody must prove who it is. NotLent where the proxy lends none."""
    if not patient.settings.auth.enabled:
        yield None
        return
    told = _ask(patient, by, {"ask": "lend", "user": USER, "seconds": LIFE, "shown_at": list(hosts)})
    try:
        if len(patient.running) > 1:
            time.sleep(_SEEN_AFTER)
        yield Secret(str(told["token"]))
    finally:
        with suppress(NotLent):
            _ask(patient, by, {"ask": "take_back", "id": told["id"], "user": USER})


def _ask(patient: Patient, by: Running, question: Mapping[str, Any]) -> dict[str, Any]:
    """One process is asked: a session that it has lent is known to all."""
    for number, file in sockets(folder_of(patient.settings.home)):
        if number == by.process:
            try:
                told = ask_one(number, file, question)
            except ControlFailed as failure:
                raise NotLent(str(failure)) from None
            if told is not None:
                return told
    raise NotLent("the proxy that would lend a session has ended")
