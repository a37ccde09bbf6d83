"""Authorities and revocation lists: which files can be used, what a chain proves by them, and until when."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from llmauth.authenticators.client_trust import (
    MOST_CERTIFICATES,
    ClientTrust,
    OutOfDate,
    Untrusted,
    Verified,
    issuers,
    read_trust,
)
from tests.fixtures.client_certificates import DAY, SERVER, Made, authority, client, now, revocations

List = x509.CertificateRevocationList


@pytest.fixture(scope="module")
def root() -> Made:
    return authority()


def trust(*roots: Made, lists: Sequence[List] | None = None) -> ClientTrust:
    """What a CA file of these makes, and a file of these lists."""
    return read_trust(b"".join(one.pem for one in roots), None if lists is None else pem(*lists))


def pem(*lists: List) -> bytes:
    return b"".join(one.public_bytes(Encoding.PEM) for one in lists)


def verified(by: ClientTrust, made: Made, at: float | None = None) -> Verified:
    return by.verify((made.certificate, *made.above), now().timestamp() if at is None else at)


def _signed(told: bytes, by: Made) -> bytes:
    """A certificate or a list of just these bytes, with the signature of an authority."""
    signature = by.key.sign(told, ec.ECDSA(hashes.SHA256()))
    algorithm = bytes.fromhex("300a06082a8648ce3d040302")  # ecdsa-with-SHA256
    return _sequence(0x30, told + algorithm + _sequence(0x03, b"\x00" + signature))


def _sequence(tag: int, content: bytes) -> bytes:
    size = len(content)
    length = bytes([size]) if size < 128 else b"\x81" + bytes([size]) if size < 256 else b"\x82" + size.to_bytes(2)
    return bytes([tag]) + length + content


def _content(der: bytes) -> bytes:
    """What stands behind tag and length."""
    return der[2 + (der[1] & 0x7F if der[1] & 0x80 else 0) :]


# ---- files -----------------------------------------------------------------------------------------------------------


def test_a_file_of_several_authorities(root: Made) -> None:
    other = authority("Other")
    made = trust(root, other)
    assert made.authorities == (root.certificate, other.certificate)
    assert made.subjects == {one.certificate.subject.public_bytes() for one in (root, other)}
    assert len(made.roots) == 2
    assert (made.lists, made.revoked, made.lists_end) == (None, frozenset(), None)
    assert {verified(made, client(one)).leaf.issuer for one in (root, other)} == {
        root.certificate.subject,
        other.certificate.subject,
    }


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no certificate in PEM"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no certificate in PEM"),
        (b"\x30\x82", "no certificate in PEM"),
    ],
)
def test_files_that_hold_no_authority(content: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_trust(content, None)


def test_a_leaf_is_no_authority(root: Made) -> None:
    for made in (client(root), authority(ca=False)):
        with pytest.raises(ValueError, match="certificate 2 is that of no authority"):
            read_trust(root.pem + made.pem, None)


def test_lists_in_pem_and_in_der(root: Made) -> None:
    other, gone = authority("Other"), client(root)
    mine, theirs = revocations(root, gone), revocations(other, ends=DAY / 2)
    both = trust(root, other, lists=[mine, theirs])
    assert both.lists is not None
    assert both.lists.keys() == {root.certificate.subject.public_bytes(), other.certificate.subject.public_bytes()}
    assert both.lists_end == theirs.next_update_utc.timestamp()
    der = read_trust(root.pem, mine.public_bytes(Encoding.DER))
    assert der.revoked == both.revoked
    assert len(der.revoked) == 1


def test_a_list_without_an_end_is_none(root: Made) -> None:
    made = revocations(root)
    assert made.next_update_utc is not None
    stamp = b"\x17\x0d" + made.next_update_utc.strftime("%y%m%d%H%M%SZ").encode()
    told = made.tbs_certlist_bytes
    assert told.count(stamp) == 1
    endless = _sequence(0x30, _content(told).replace(stamp, b""))
    with pytest.raises(ValueError, match="nextUpdate"):
        read_trust(root.pem, _signed(endless, root))


@pytest.mark.parametrize("content", [b"", b"garbage", b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"])
def test_files_that_hold_no_list(root: Made, content: bytes) -> None:
    with pytest.raises(ValueError, match="holds no revocation list"):
        read_trust(root.pem, content)


def test_one_list_for_one_issuer(root: Made) -> None:
    with pytest.raises(ValueError, match="two revocation lists of one issuer"):
        trust(root, lists=[revocations(root), revocations(root, client(root))])


@pytest.mark.parametrize(
    "extension",
    [
        x509.DeltaCRLIndicator(1),
        x509.IssuingDistributionPoint(None, None, True, False, None, False, False),
    ],
    ids=["a part of a list", "a list of some certificates"],
)
def test_lists_that_do_not_tell_all(root: Made, extension: Any) -> None:
    made = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(root.certificate.subject)
        .last_update(now() - DAY)
        .next_update(now() + DAY)
        .add_extension(extension, critical=True)
        .sign(root.key, hashes.SHA256())
    )
    with pytest.raises(ValueError, match="critical extension"):
        trust(root, lists=[made])


# ---- chains ----------------------------------------------------------------------------------------------------------


def test_what_a_chain_proves(root: Made) -> None:
    made = client(root)
    found = verified(trust(root), made)
    assert found.leaf == made.certificate
    assert found.ends == made.certificate.not_valid_after_utc.timestamp()
    assert trust(root).stands(found.mark)
    assert not trust(authority()).stands(found.mark), "another of the same name"


def test_it_ends_with_the_first_of_the_chain_that_ends(root: Made) -> None:
    middle = authority("Middle", by=root)
    long = client(middle, until=10 * DAY)
    assert verified(trust(root), long).ends == middle.certificate.not_valid_after_utc.timestamp()
    with pytest.raises(Untrusted):
        verified(trust(root), long, at=(now() + 6 * DAY).timestamp())


def test_a_chain_of_the_longest_kind_and_one_longer(root: Made) -> None:
    last = root
    for number in range(MOST_CERTIFICATES - 1):  # with the client's own, as many as may be shown
        last = authority(f"Middle {number}", by=last)
    assert verified(trust(root), client(last)).leaf.subject
    with pytest.raises(Untrusted):
        verified(trust(root), client(authority("One more", by=last)))


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(public_exponent=65537, key_size=2048),
    ],
    ids=["P-256", "P-384", "Ed25519", "RSA 2048"],
)
def test_keys_that_hold(root: Made, key: Any) -> None:
    assert verified(trust(root), client(root, key=key)).leaf.subject


@pytest.mark.parametrize(
    "key",
    [
        rsa.generate_private_key(public_exponent=65537, key_size=1024),
        ec.generate_private_key(ec.SECP192R1()),
        dsa.generate_private_key(1024),
    ],
    ids=["RSA 1024", "P-192", "DSA"],
)
def test_keys_that_do_not(root: Made, key: Any) -> None:
    with pytest.raises(Untrusted, match="too short"):
        verified(trust(root), client(root, key=key))


def test_a_key_that_nobody_can_read(root: Made) -> None:
    """Rightly signed by our authority, with the number of an algorithm that there is not."""
    made = client(root, key=ed25519.Ed25519PrivateKey.generate())
    known, other = b"\x06\x03\x2b\x65\x70", b"\x06\x03\x2b\x65\x7f"
    told = made.certificate.tbs_certificate_bytes
    assert told.count(known) == 1
    unknown = x509.load_der_x509_certificate(_signed(told.replace(known, other), root))
    with pytest.raises(Untrusted, match="not served"):
        verified(trust(root), replace(made, certificate=unknown))


def test_what_is_signed_by_somebody_else_or_for_something_else(root: Made) -> None:
    for made in (
        client(authority()),
        client(root, usages=[SERVER]),
        client(client(root)),
        client(authority("No authority", by=root, ca=False)),
        client(root, since=DAY / 2),
        client(root, since=-3 * DAY, until=-2 * DAY),
    ):
        with pytest.raises(Untrusted) as why:
            verified(trust(root), made)
        assert "alice" not in str(why.value)
        assert "Corp clients" not in str(why.value)


# ---- revocation ------------------------------------------------------------------------------------------------------


def test_who_was_revoked_is_out_and_its_mark_with_it(root: Made) -> None:
    gone, stays = client(root), client(root)
    mark = verified(trust(root), gone).mark
    after = trust(root, lists=[revocations(root, gone)])
    with pytest.raises(Untrusted, match="revoked"):
        verified(after, gone)
    assert not after.stands(mark)
    assert after.stands(verified(after, stays).mark)


def test_the_same_number_of_another_authority_is_not_revoked(root: Made) -> None:
    other = authority("Other")
    gone = client(root, serial=7)
    same = client(other, serial=7)
    after = trust(root, other, lists=[revocations(root, gone), revocations(other)])
    assert verified(after, same).leaf == same.certificate


def test_a_revoked_intermediate(root: Made) -> None:
    middle = authority("Middle", by=root)
    lists = [revocations(root, middle), revocations(middle)]
    with pytest.raises(Untrusted, match="revoked"):
        verified(trust(root, lists=lists), client(middle))


def test_of_each_issuer_there_is_a_list_that_it_signed(root: Made) -> None:
    middle = authority("Middle", by=root)
    with pytest.raises(Untrusted, match="no revocation list"):
        verified(trust(root, lists=[revocations(root)]), client(middle))
    with pytest.raises(Untrusted, match="wrong signature"):
        verified(trust(root, lists=[revocations(root, signed_by=authority())]), client(root))


def test_a_list_that_has_ended_proves_nothing(root: Made) -> None:
    made = trust(root, lists=[revocations(root, ends=DAY)])
    at = (now() + DAY).timestamp() + 1
    assert made.lists_end is not None
    made.require_lists(made.lists_end - 1)
    with pytest.raises(OutOfDate):
        made.require_lists(made.lists_end)
    with pytest.raises(OutOfDate):
        verified(made, client(root, until=datetime.timedelta(days=9)), at=at)


def test_issuers_are_told_as_the_chain_tells_them(root: Made) -> None:
    made = client(authority("Middle", by=root))
    told = issuers((made.certificate, *made.above))
    assert told == {made.above[0].subject.public_bytes(), root.certificate.subject.public_bytes()}
