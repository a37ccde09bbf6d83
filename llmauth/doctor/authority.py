"""The certificate authority: until when, for which names, whose key may be read; and what clients were given of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from llmauth.ca import CERTIFICATE_FILE, KEY_FILE, Authority, CaError
from llmauth.ca.authority import WARN_DAYS
from llmauth.ca.files import read
from llmauth.clock import SystemClock
from llmauth.doctor.findings import Finding, fail, ok, skip, warn
from llmauth.doctor.patient import Patient
from llmauth.doctor.wording import short
from llmauth.gateway import hosts_to_sign

_SHOWN = 3


def examine(patient: Patient) -> Iterator[Finding]:
    """Nothing is made here: a first start does that."""
    ca = patient.settings.ca
    if not (ca.folder / KEY_FILE).exists():
        if ca.create:
            yield skip(f"no certificate authority yet in {ca.folder}; `llmauth serve` makes it")
        else:
            yield fail(
                f"no certificate authority in {ca.folder}, and none may be made there",
                f"mount the secret that holds {KEY_FILE} at {ca.folder}",
            )
        return
    try:
        authority = Authority(*read(ca.folder), SystemClock())
    except CaError as error:
        what, _, fix = str(error).rstrip(".").rpartition(". ")
        yield fail(f"CA: {what or error}", fix.removeprefix("Close it: ") or "llmauth ca rotate")
        return
    except OSError as error:
        yield fail(f"CA: {ca.folder / KEY_FILE}: {error.strerror}", f"chown {os.getuid()} {ca.folder / KEY_FILE}")
        return
    yield from _judged(patient, authority)


def _judged(patient: Patient, authority: Authority) -> Iterator[Finding]:
    days = authority.days_left()
    if days < 0:
        yield fail("CA has expired: no client trusts an intercepted tunnel", "llmauth ca rotate")
    elif days < WARN_DAYS:
        yield warn(f"CA ends in {days} d", "llmauth ca rotate, then give `llmauth ca export` to clients")
    else:
        yield ok(f"CA valid {days} d, constrained")
    names = ", ".join(authority.domains[:_SHOWN]) + (" …" if len(authority.domains) > _SHOWN else "")
    outside = sorted(host for host in hosts_to_sign(patient.settings, patient.handlers) if not authority.covers(host))
    if outside:
        yield fail(
            f"CA may not sign {', '.join(outside)}", "llmauth ca rotate, then give `llmauth ca export` to clients"
        )
    else:
        yield ok(f"CA covers all configured hosts ({len(authority.domains)} domains: {names})")
    yield ok(f"CA SHA-256 {short(authority.fingerprint())}")
    yield from _published(patient.settings.ca.folder, authority)
    yield from _of_running(patient, authority)


def _published(folder: Path, authority: Authority) -> Iterator[Finding]:
    """What `serve` wrote beside it for clients."""
    file = folder / CERTIFICATE_FILE
    try:
        same = file.read_text() == authority.certificate_pem()
    except OSError:
        yield skip(f"no {CERTIFICATE_FILE} beside the key; `llmauth ca export` prints it")
        return
    if not same:
        yield warn(f"{file} is not the certificate that is in use", f"llmauth ca export > '{file}'")


def _of_running(patient: Patient, authority: Authority) -> Iterator[Finding]:
    if patient.running and all(one.ca == authority.fingerprint() for one in patient.running):
        yield ok(f"process {', '.join(str(one.process) for one in patient.running)} signs with it")
    for one in patient.running:
        if one.ca != authority.fingerprint():
            yield fail(
                f"process {one.process} still signs with another CA ({short(one.ca)})",
                "end it and start it again: llmauth serve",
            )
