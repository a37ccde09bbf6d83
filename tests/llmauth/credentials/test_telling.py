"""The words of the log: one line for each thing that is new, and the fields beside it."""

from __future__ import annotations

import asyncio
import io
import logging
import re

import pytest

from llmauth.clock import ManualClock
from llmauth.credentials.cache import Source
from llmauth.credentials.candidate import Candidate
from llmauth.credentials.chain import Chain
from llmauth.credentials.telling import Teller, kind_of
from llmauth.platform import Platform
from llmauth.platform.detector import announce
from llmauth.secrets import ApiKey, Loaded, Secret
from llmauth.sources import SourceUnavailable
from llmauth.telemetry import logs
from tests.fixtures.strategies import HOUR, Fake

LOADED = Loaded(credential=ApiKey(value=Secret("canary-7f3a")), source="here")


@pytest.fixture
def teller(caplog) -> Teller:
    caplog.set_level(logging.DEBUG, "llmauth")
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


# The two examples of the user's document, without their dates.
ON_EKS = """\
INFO  Platform detected: eks
INFO  Features available: aws_workload_identity=true
INFO  [bedrock_us1] Trying strategy: workload_identity
INFO  [bedrock_us1] ✅ Successfully initialized with workload_identity
INFO  [bedrock_us1] Credentials will auto-rotate every 60 minutes
"""
ON_AKS = """\
INFO  Platform detected: aks
INFO  Features available: azure_workload_identity=true
INFO  [bedrock_us1] Trying strategy: workload_identity (aws)
WARN  [bedrock_us1] ⚠️  AWS workload identity not available on aks
INFO  [bedrock_us1] Trying strategy: vault (hashicorp)
INFO  [bedrock_us1] ✅ Successfully initialized with vault
INFO  [bedrock_us1] Credentials TTL: 3600 seconds
"""


@pytest.mark.parametrize(
    ("platform", "labels", "wanted"),
    [
        (Platform(name="eks", workload=frozenset({"aws"})), ["workload_identity"], ON_EKS),
        (Platform(name="aks", workload=frozenset({"azure"})), ["workload_identity (aws)", "vault (hashicorp)"], ON_AKS),
    ],
    ids=["eks", "aks"],
)
async def test_the_lines_of_a_start_are_those_of_the_document(platform, labels, wanted) -> None:
    clock = ManualClock()
    absent = SourceUnavailable("AWS workload identity not available on aks")
    *others, last = [Fake(label, clock, absent) for label in labels]
    last.answer = HOUR
    stream = io.StringIO()
    before = logging.getLogger("llmauth").level
    logs.configure("info", "console", stream)
    try:
        announce(platform)
        slots = asyncio.Semaphore(4)
        chain = Chain("bedrock_us1", [Source(one, slots) for one in (*others, last)], clock, lambda: 0.0)
        await chain.lease.acquire(5.0)
    finally:
        root = logging.getLogger()
        for handler in [one for one in root.handlers if isinstance(one, logs._Lines)]:
            root.removeHandler(handler)
        logging.getLogger("llmauth").setLevel(before)
    lines = stream.getvalue().splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", line) for line in lines)
    assert [line[20:] for line in lines] == wanted.splitlines()
