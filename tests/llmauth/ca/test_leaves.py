"""Leaves: one key that is not the CA's, one certificate a host, its names, its life, and how many are held."""

import pytest
from cryptography import x509

from llmauth.ca import Authority, CaError, leaves
from llmauth.clock import ManualClock, SystemClock
from tests.llmauth.ca.samples import DAY, DOMAINS


def test_leaves_share_one_key_that_is_not_the_authoritys(authority):
    first, second = authority.leaf("api.openai.com"), authority.leaf("llm.internal")
    assert first.private_key is second.private_key
    assert first.certificate.public_key() != authority.certificate.public_key()
    assert first.certificate.public_key() == first.private_key.public_key()


def test_a_leaf_is_made_once_per_host(authority):
    assert authority.leaf("api.openai.com") is authority.leaf("api.openai.com")


def test_a_leafs_names_and_life(authority):
    leaf = authority.leaf("api.openai.com").certificate
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.value.get_values_for_type(x509.DNSName) == ["api.openai.com"]
    assert not names.critical
    assert (leaf.not_valid_after_utc - leaf.not_valid_before_utc).days <= 197
    assert (leaf.not_valid_before_utc.timestamp(), leaf.not_valid_after_utc.timestamp()) < (
        SystemClock().wall() - 3600,
        authority.expires_at,
    )


def test_a_leaf_for_a_long_name_has_an_empty_subject(authority):
    leaf = authority.leaf("x" * 60 + ".amazonaws.com").certificate
    assert len(leaf.subject.rdns) == 0
    assert leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).critical


@pytest.mark.parametrize("host", ["example.com", "127.0.0.1", "::1", "", "a" * 70])
def test_no_leaf_outside(authority, host):
    with pytest.raises(CaError, match="may not sign"):
        authority.leaf(host)


def test_the_cache_is_bounded(authority, monkeypatch):
    monkeypatch.setattr(leaves, "CACHED_LEAVES", 3)
    first = authority.leaf("0.amazonaws.com")
    for number in range(3):
        authority.leaf(f"{number}.amazonaws.com")
    assert authority.leaf("0.amazonaws.com") is first
    authority.leaf("3.amazonaws.com")
    assert authority.leaf("0.amazonaws.com") is first
    authority.leaf("4.amazonaws.com")
    authority.leaf("5.amazonaws.com")
    authority.leaf("6.amazonaws.com")
    assert authority.leaf("0.amazonaws.com") is not first


def test_a_leaf_is_renewed_before_it_ends(folder):
    clock = ManualClock()
    authority = Authority.load_or_create(folder, DOMAINS, create=True, clock=clock)
    first = authority.leaf("llm.internal")
    clock.advance(30 * DAY)
    assert authority.leaf("llm.internal") is first
    clock.advance(30 * DAY)
    renewed = authority.leaf("llm.internal")
    assert renewed is not first
    assert renewed.certificate.not_valid_after_utc.timestamp() > clock.wall() + 80 * DAY


def test_a_leaf_does_not_outlive_its_authority(folder):
    clock = ManualClock()
    authority = Authority.load_or_create(folder, DOMAINS, create=True, clock=clock)
    clock.advance(360 * DAY)
    leaf = authority.leaf("llm.internal")
    assert leaf.certificate.not_valid_after_utc.timestamp() == authority.expires_at
    assert authority.leaf("llm.internal") is leaf
    clock.advance(6 * DAY)
    with pytest.raises(CaError, match="expired"):
        authority.leaf("llm.internal")
