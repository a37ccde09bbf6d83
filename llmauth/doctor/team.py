"""The proxy that was joined: that it answers, signs as it did then, knows the session, and that clients get through."""

from __future__ import annotations

import http.client
import socket
import ssl
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress

from llmauth.clients import joined
from llmauth.clients.joined import Joined
from llmauth.clients.served import ServedProxy
from llmauth.doctor.clients import tried
from llmauth.doctor.findings import Finding, fail, ok, skip, warn
from llmauth.doctor.joining import TIME_LIMIT, asked, joined_here, session_of, tls_of
from llmauth.doctor.patient import Patient
from llmauth.doctor.stacks.probing import CHECKUP, Proxied
from llmauth.doctor.stacks.witness import Witness
from llmauth.doctor.wording import short, span
from llmauth.outbound import Answer
from llmauth.secrets import Secret
from llmauth.sources import SourceFailed
from llmauth.storage.home import StateError

_SIGNS_AS = "x-llmauth-ca-sha256"


def examine(patient: Patient) -> Iterator[Finding]:
    """Nothing where none was joined."""
    try:
        joined.read(patient.environ)
    except StateError as damaged:
        yield fail(str(damaged), "llmauth join URL")
        return
    profile = joined_here(patient)
    if profile is None:
        yield skip("no proxy was joined")
        return
    told = asked(patient, profile, "/health")
    if not isinstance(told, Answer) or told.status != 200:
        why = told if isinstance(told, str) else f"status {told.status}"
        yield fail(f"{profile.authority} does not answer: {why}", f"curl {profile.url}/health, or llmauth join URL")
        return
    yield ok(f"{profile.authority} answers")
    yield from _certificate(patient, profile)
    session = session_of(patient, profile)
    if session is None:
        yield fail(f"no session at {profile.authority} any more", f"llmauth join {profile.url}")
        return
    page = asked(patient, profile, CHECKUP, session)
    if not isinstance(page, Answer) or page.status != 200:
        why = page if isinstance(page, str) else f"status {page.status}"
        yield fail(f"{profile.authority} does not take the session: {why}", f"llmauth join {profile.url}")
        return
    left = None if profile.expires_at is None else profile.expires_at - patient.wall()
    yield ok(f"{profile.user} at {profile.authority}{'' if left is None else f', session ends in {span(left)}'}")
    if not patient.running:
        yield from _clients(patient, profile, session)


def _certificate(patient: Patient, profile: Joined) -> Iterator[Finding]:
    """Its CA is public; an older version does not tell it."""
    told = asked(patient, profile, "/ca.pem")
    signs = told.headers.get(_SIGNS_AS) if isinstance(told, Answer) and told.status == 200 else None
    if signs is None:
        yield skip(f"{profile.authority} does not tell its CA")
    elif signs.replace(":", "").upper() != profile.fingerprint.replace(":", "").upper():
        what = f"{profile.authority} signs with another CA ({short(signs)}) than the one that was confirmed"
        yield fail(what, f"ask its operator for the fingerprint, then: llmauth join {profile.url}")
    else:
        yield ok(f"CA {short(signs)} as confirmed")


def _clients(patient: Patient, profile: Joined, session: Secret) -> Iterator[Finding]:
    host, _, port = profile.authority.rpartition(":") if ":" in profile.authority else (profile.authority, "", "")
    usual = "443" if profile.url.startswith("https://") else "80"
    served = ServedProxy(url=profile.url, user=profile.user)
    try:
        tls = tls_of(patient, profile)
    except SourceFailed as failure:
        yield fail(f"{profile.authority}: {failure.reason}", f"llmauth join {profile.url}")
        return
    place = (host.strip("[]"), int(port or usual))
    with Witness(*place, tls) as witness:
        targets = sorted(served.hosts())
        target = next((one for one in targets if _opens(witness.port, one, profile, session)), None)
    if target is None:
        yield warn("clients not tried: none of the usual hosts is served there", "llmauth whoami")
        return
    yield from tried(
        patient,
        Proxied(
            host=place[0],
            port=place[1],
            target=target,
            authority_pem=profile.ca_pem,
            credential=session,
            served=served,
            tls=tls,
        ),
    )


def _opens(port: int, target: str, profile: Joined, session: Secret) -> bool:
    """Whether the page is answered in a tunnel to this host: then its TLS is ended there, by the CA that is known."""
    basic = b64encode(f"{profile.user}:{session.reveal()}".encode()).decode()
    context = ssl.create_default_context(cadata=profile.ca_pem)
    with (
        suppress(OSError, http.client.HTTPException),
        socket.create_connection(("127.0.0.1", port), TIME_LIMIT) as plain,
    ):
        head = f"CONNECT {target}:443 HTTP/1.1\r\nHost: {target}:443\r\nProxy-Authorization: Basic {basic}\r\n\r\n"
        plain.sendall(head.encode("ascii"))
        if b" 200 " not in plain.recv(4096).partition(b"\r\n")[0]:
            return False
        with context.wrap_socket(plain, server_hostname=target) as inner:
            inner.sendall(f"GET {CHECKUP} HTTP/1.1\r\nHost: {target}\r\nConnection: close\r\n\r\n".encode("ascii"))
            return b" 200 " in inner.recv(4096).partition(b"\r\n")[0]
    return False
