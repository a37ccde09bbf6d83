"""The certificates: good ones pass Python's strict verification, each bad one fails for its own reason."""

from __future__ import annotations

import ssl

import pytest
from cryptography import x509

from llmauth.demo.certificates import Authority, Certificate
from llmauth.demo.emulators import Emulators
from llmauth.demo.openai import HOST
from tests.llmauth.demo.wire import connect


def test_every_host_verifies_under_strict_rules(emulators: Emulators) -> None:
    context = ssl.create_default_context(cafile=str(emulators.ca_file))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    assert HOST in emulators.hosts
    for host in emulators.hosts:
        with connect(emulators, host) as connection:
            assert connection.getpeercert() is not None


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (Certificate.WRONG_NAME, "Hostname mismatch"),
        (Certificate.UNKNOWN_AUTHORITY, "certificate signature failure|unable to get local issuer|self-signed"),
        (Certificate.EXPIRED, "certificate has expired"),
    ],
)
def test_bad_ones_are_refused_and_no_request_arrives(kind: Certificate, reason: str) -> None:
    with Emulators(certificate=kind) as emulators:
        with pytest.raises(ssl.SSLCertVerificationError, match=reason):
            connect(emulators, HOST)
        assert emulators.requests() == ()


def test_the_authority_makes_no_further_authorities() -> None:
    constraints = Authority.create().certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.critical, constraints.value.ca, constraints.value.path_length) == (True, True, 0)
