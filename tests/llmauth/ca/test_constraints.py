"""The limits of a CA: none without them, and which names they cover."""

import pytest
from cryptography import x509

from llmauth.ca import Authority, CaError, making
from llmauth.ca.constraints import constraints, covers
from tests.llmauth.ca.samples import DOMAINS


def test_an_authority_without_constraints_is_refused(folder, monkeypatch):
    """R4: name constraints limit it."""
    monkeypatch.setattr(making, "constraints", lambda _: x509.NameConstraints(None, [x509.DNSName("x.example")]))
    with pytest.raises(CaError, match="not limited to names"):
        Authority.load_or_create(folder, DOMAINS, create=True)
    monkeypatch.undo()
    with pytest.raises(CaError, match="without permitted domains"):
        Authority.load_or_create(folder / "b", [], create=True)


def test_names_are_written_once_and_normalised():
    written = constraints(["API.openai.com.", "api.openai.com", "bücher.example"])
    assert [name.value for name in written.permitted_subtrees or ()] == ["api.openai.com", "xn--bcher-kva.example"]


def test_which_names_it_covers(authority):
    for host in ("api.openai.com", "eu.api.openai.com", "bedrock-runtime.us-east-1.amazonaws.com", "llm.internal"):
        assert authority.covers(host)
    for host in ("openai.com", "xapi.openai.com", "example.com", "127.0.0.1", "::1", "127.1", "", "com"):
        assert not authority.covers(host)


def test_an_address_is_covered_by_nothing():
    assert not covers(["127.0.0.1", "1"], "127.0.0.1")
