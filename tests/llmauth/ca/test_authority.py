"""The CA in use: refused where none may be made, where it does not cover what is configured, and when it is spent."""

import certifi
import pytest

from llmauth.ca import Authority, CaError
from llmauth.ca.making import CA_DAYS
from llmauth.clock import ManualClock
from tests.llmauth.ca.samples import DAY, DOMAINS


def test_where_none_may_be_made_the_start_is_refused(folder):
    with pytest.raises(CaError, match=r"may not make its own.*ca-key\.pem"):
        Authority.load_or_create(folder, DOMAINS, create=False)
    assert not folder.exists()


def test_a_configured_host_outside_is_a_clear_error(authority):
    authority.require(["api.openai.com"])
    with pytest.raises(CaError, match=r"may not sign a\.example, b\.example: .*`llmauth ca rotate`"):
        authority.require(["b.example", "api.openai.com", "a.example"])


def test_the_bundle_is_the_public_roots_and_ours(authority):
    assert authority.bundle().startswith("# Issuer")
    assert authority.bundle().endswith(authority.certificate_pem())
    assert authority.bundle().count("BEGIN CERTIFICATE") == certifi.contents().count("BEGIN CERTIFICATE") + 1


def test_it_warns_for_a_month_and_then_refuses_to_start(folder, caplog):
    clock = ManualClock()
    authority = Authority.load_or_create(folder, DOMAINS, create=True, clock=clock)
    assert authority.days_left() == CA_DAYS
    clock.advance(334 * DAY)
    Authority.load_or_create(folder, DOMAINS, create=True, clock=clock)
    assert "expires soon" not in caplog.text
    clock.advance(2 * DAY)
    Authority.load_or_create(folder, DOMAINS, create=True, clock=clock)
    assert "llmauth ca rotate" in caplog.text
    clock.advance(30 * DAY)
    with pytest.raises(CaError, match="has expired"):
        Authority.load_or_create(folder, DOMAINS, create=True, clock=clock)


def test_rotation_where_there_is_none_makes_one(folder):
    assert Authority.rotate(folder, DOMAINS).covers("llm.internal")
