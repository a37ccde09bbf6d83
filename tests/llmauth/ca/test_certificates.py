"""The pieces of every certificate: no two share a serial number, a CA's key signs certificates and nothing else."""

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from llmauth.ca.certificates import key_pem, key_usage, unsigned

KEY = ec.generate_private_key(ec.SECP256R1())
START, END = datetime(2027, 1, 15, tzinfo=UTC), datetime(2027, 4, 15, tzinfo=UTC)


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, text)])


def test_a_certificate_begins_with_who_for_whom_and_until_when():
    one, two = (
        unsigned(name("a"), name("b"), KEY.public_key(), START, END).sign(KEY, hashes.SHA256()) for _ in range(2)
    )
    assert (one.subject, one.issuer) == (name("a"), name("b"))
    assert (one.not_valid_before_utc, one.not_valid_after_utc) == (START, END)
    assert one.serial_number != two.serial_number


@pytest.mark.parametrize("signs", [True, False])
def test_what_a_key_is_for(signs):
    usage = key_usage(signs_certificates=signs)
    assert (usage.key_cert_sign, usage.crl_sign, usage.digital_signature) == (signs, signs, not signs)
    assert not any((usage.key_encipherment, usage.key_agreement, usage.data_encipherment))


def test_a_key_can_be_read_again():
    read = serialization.load_pem_private_key(key_pem(KEY), password=None)
    assert read.public_key() == KEY.public_key()
