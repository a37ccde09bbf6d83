"""A new CA's certificate: what it may do, for which names, for how long, and that no two are called the same."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from llmauth.ca.making import CA_DAYS, new_authority
from tests.llmauth.ca.samples import DAY, DOMAINS

NOW = 1_800_000_000.0


@pytest.mark.parametrize(("number", "below"), [(0, 0), (1, 1)], ids=["of its key", "the root"])
def test_its_certificates(number, below):
    """Both are limited: most clients read the root's limits, Java those of what it signed alone."""
    certificate = x509.load_pem_x509_certificates(new_authority(DOMAINS, NOW))[number]
    find = certificate.extensions.get_extension_for_class
    basic, usage, names = find(x509.BasicConstraints), find(x509.KeyUsage), find(x509.NameConstraints)
    assert (basic.critical, basic.value.ca, basic.value.path_length) == (True, True, below)
    assert (usage.critical, usage.value.key_cert_sign, usage.value.digital_signature) == (True, True, False)
    assert names.critical
    assert [name.value for name in names.value.permitted_subtrees or ()] == sorted(DOMAINS)
    assert [str(name.value) for name in names.value.excluded_subtrees or ()] == ["0.0.0.0/0", "::/0"]
    assert list(find(x509.ExtendedKeyUsage).value) == [x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]
    assert find(x509.SubjectKeyIdentifier)
    assert isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)


def test_clients_trust_the_root_and_nobody_has_its_key(authority, folder):
    content = (folder / "ca-key.pem").read_bytes()
    issuing, root = x509.load_pem_x509_certificates(content)
    issuing.verify_directly_issued_by(root)
    assert authority.fingerprint() == root.fingerprint(hashes.SHA256()).hex(":").upper()
    assert content.count(b"PRIVATE KEY-----") == 2  # where one begins, and where it ends
    assert serialization.load_pem_private_key(content, None).public_key() != root.public_key()


def test_it_is_valid_from_the_day_before_for_a_year():
    certificate = x509.load_pem_x509_certificate(new_authority(DOMAINS, NOW))
    assert certificate.not_valid_before_utc.timestamp() == NOW - DAY
    assert certificate.not_valid_after_utc.timestamp() == NOW + CA_DAYS * DAY


def test_no_two_have_the_same_subject():
    one, two = (x509.load_pem_x509_certificate(new_authority(DOMAINS, NOW)) for _ in range(2))
    assert one.subject != two.subject
