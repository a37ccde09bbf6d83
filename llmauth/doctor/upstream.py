"""The way to each provider: its name, its address, the connection, TLS with our roots. Nothing here is paid for."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

from cryptography import x509
from cryptography.x509.oid import NameOID

from llmauth.addresses import HostPort, is_private
from llmauth.doctor.findings import Finding, fail, ok, skip
from llmauth.doctor.patient import Patient
from llmauth.doctor.threads import side_by_side
from llmauth.gateway.sourcing import proxy_of
from llmauth.outbound import Answer
from llmauth.sources import SourceFailed
from llmauth.upstream_proxy import UpstreamProxy

TIME_LIMIT = 5.0
_AT_ONCE = 8


def examine(patient: Patient) -> Iterator[Finding]:
    """One host of each instance, the one that most of its calls go to."""
    places = dict.fromkeys(handler.base.origin for handler in patient.handlers.values())
    if not places:
        yield skip("no instance is configured, so no provider is looked for")
    yield from side_by_side(lambda place: _reached(patient, place), list(places), _AT_ONCE)


def reached(patient: Patient, place: HostPort) -> Answer | str:
    """What a place answers to a bare request without any credential, or why it cannot be asked; asked once."""
    return patient.once(f"reached {place}", lambda: _asked(patient, place))


def _asked(patient: Patient, place: HostPort) -> Answer | str:
    try:
        return patient.outbound.within(TIME_LIMIT).ask("HEAD", f"https://{place}/", {"Accept": "*/*"})
    except SourceFailed as failure:
        return failure.reason


def _reached(patient: Patient, place: HostPort) -> Finding:
    told = reached(patient, place)
    if isinstance(told, Answer):
        return ok(f"{place.host} reachable, TLS verified")
    return _diagnosed(patient, place, told)


def _diagnosed(patient: Patient, place: HostPort, reason: str) -> Finding:
    """Where on the way it ended; the proxy of the company, where one is used, says that itself."""
    upstream = patient.settings.upstream
    resolved, proxy = upstream.resolve.get(place.host), _proxy(patient, place)
    if "could not be verified" in reason:
        return fail(f"{place.host}: {_issuer(patient, place)}", "upstream: {ca_file: FILE}, with the CA that signed it")
    if proxy is not None:
        return fail(f"{place.host} through the proxy {proxy.address.place}: {reason}", "upstream: {proxy: {url: …}}")
    target = resolved or place
    try:
        addresses = sorted({str(one[4][0]) for one in socket.getaddrinfo(target.host, target.port)})
    except OSError:
        fix = "mend the resolver, or behind a company's proxy: upstream: {proxy: {url: 'http://PROXY:3128'}}"
        return fail(f"{place.host}: DNS does not know {target.host}", fix)
    allowed = resolved is not None or place.host in upstream.allow_private
    if not allowed and any(map(is_private, addresses)):
        fix = f"upstream: {{allow_private: [{place.host}]}} if that is meant (a VPC endpoint)"
        return fail(f"{place.host} leads to a private address ({addresses[0]})", fix)
    where = f"{addresses[0]}, port {target.port}"
    fix = "open it in the firewall, or behind a company's proxy: upstream: {proxy: {url: 'http://PROXY:3128'}}"
    return fail(f"{place.host} ({where}): {reason.removeprefix(place.host).strip()}", fix)


def _proxy(patient: Patient, place: HostPort) -> UpstreamProxy | None:
    proxy = proxy_of(patient.settings)
    skips = proxy is None or place.host in patient.settings.upstream.resolve or not proxy.serves(place.host)
    return None if skips else proxy


def _issuer(patient: Patient, place: HostPort) -> str:
    """Who signed the certificate that is shown there: a company's inspection names itself."""
    if _proxy(patient, place) is not None:
        return "its certificate could not be verified"
    target = patient.settings.upstream.resolve.get(place.host, place)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # nothing is sent: the certificate is looked at
    try:
        with (
            socket.create_connection((target.host, target.port), TIME_LIMIT) as plain,
            context.wrap_socket(plain, server_hostname=place.host) as connection,
        ):
            shown = x509.load_der_x509_certificate(connection.getpeercert(binary_form=True) or b"")
    except (OSError, ValueError):
        return "its certificate could not be verified"
    names = shown.issuer.get_attributes_for_oid(NameOID.COMMON_NAME) or list(shown.issuer)
    said = "".join(one for one in str(names[0].value) if one.isprintable())[:80] if names else "nobody"
    return f"its certificate is signed by '{said}', which is none of our roots"
