"""The words of the log: one line for each thing that is new, and the fields beside it."""

from __future__ import annotations

import asyncio
import logging

import pytest

from llmauth.clock import ManualClock
from llmauth.credentials.cache import Source
from llmauth.credentials.candidate import Candidate
from llmauth.credentials.telling import Teller, kind_of
from llmauth.secrets import ApiKey, Loaded, Secret
from tests.fixtures.strategies import Fake

LOADED = Loaded(credential=ApiKey(value=Secret("canary-7f3a")), source="here")


@pytest.fixture
def teller(caplog) -> Teller:
    caplog.set_level(logging.DEBUG)
    return Teller("one", ManualClock())


def candidate(label: str) -> Candidate:
    return Candidate(Source(Fake(label, ManualClock()), asyncio.Semaphore(1)))


def test_a_reason_is_said_aloud_once(teller, caplog) -> None:
    one = candidate("vault (hashicorp)")
    for new in (True, False):
        teller.refused(one, "sealed", failed=True, new=new)
        teller.refused(one, "not here", failed=False, new=new)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("ERROR", "[one] ❌ vault (hashicorp) failed: sealed"),
        ("WARNING", "[one] ⚠️  not here"),
        ("DEBUG", "[one] ❌ vault (hashicorp) failed: sealed"),
        ("DEBUG", "[one] ⚠️  not here"),
    ]
    assert {(record.instance, record.strategy) for record in caplog.records} == {("one", "vault (hashicorp)")}


def test_what_is_told_of_a_credential_is_where_it_came_from(teller, caplog) -> None:
    teller.activated(candidate("file"), LOADED, before=None, held=None)
    (record,) = caplog.records
    assert (record.getMessage(), record.source) == ("[one] ✅ Successfully initialized with file", "here")
    assert "canary" not in str(vars(record))


@pytest.mark.parametrize(
    ("label", "kind"),
    [("vault (hashicorp)", "vault"), ("workload_identity (aws)", "workload_identity"), ("file", "file")],
)
def test_the_kind_of_a_label(label, kind) -> None:
    assert kind_of(label) == kind
