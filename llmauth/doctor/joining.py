"""The proxy that this user has joined: its profile, its session, and what it says of itself."""

from __future__ import annotations

import ssl
from pathlib import Path

from llmauth.clients import joined
from llmauth.clients.joined import Joined
from llmauth.credentials.entries import KeyringRefused
from llmauth.doctor.patient import Patient
from llmauth.outbound import Answer, Outbound, Trust
from llmauth.secrets import Secret
from llmauth.sources import SourceFailed
from llmauth.storage.home import StateError

TIME_LIMIT = 5.0


def joined_here(patient: Patient) -> Joined | None:
    """The profile; None where no proxy was joined, or the profile is damaged."""
    try:
        return patient.once("joined", lambda: joined.read(patient.environ))
    except StateError:
        return None


def session_of(patient: Patient, profile: Joined) -> Secret | None:
    """What is kept of the session; None where nothing is, or the keyring does not give it."""
    try:
        return joined.session(profile, patient.environ)
    except (KeyringRefused, StateError):
        return None


def asked(patient: Patient, profile: Joined, path: str, session: Secret | None = None) -> Answer | str:
    """What it answers at its own door, or why it cannot be asked; in clear text inside a network alone."""
    outbound = Outbound(trust=_trust(patient, profile), time_limit=TIME_LIMIT)
    fields = {} if session is None else {"Authorization": f"Bearer {session.reveal()}"}
    try:
        return outbound.ask("GET", profile.url + path, fields)
    except SourceFailed as failure:
        return failure.reason


def tls_of(patient: Patient, profile: Joined) -> ssl.SSLContext | None:
    """How its own port is spoken to; None in clear text. SourceFailed for a CA that cannot be used."""
    return _trust(patient, profile).context() if profile.url.startswith("https://") else None


def _trust(patient: Patient, profile: Joined) -> Trust:
    file: Path | None = joined.trusted(profile, patient.environ)
    return Trust(ca_file=file, private=True, plain=profile.url.startswith("http://"))
