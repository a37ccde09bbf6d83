"""R5: the audit record as the gateway asks for it, and what is done where it is switched off."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from llmauth.audit.writer import AuditLog
from llmauth.context import Identity
from llmauth.credentials.chain import Asked
from llmauth.errors import Unavailable
from llmauth.gateway.recording import Recording
from tests.fixtures.audits import lines_in, running

ALICE = Identity(user="alice", method="api_key", key_id="0123456789", key_name="laptop")


@pytest.fixture
def log(tmp_path: Path) -> Iterator[AuditLog]:
    with running(tmp_path / "home") as log:
        yield log


def told(tmp_path: Path, kind: str) -> list[dict[str, object]]:
    return [line for line in lines_in(tmp_path / "home") if line["kind"] == kind]


async def test_what_was_administered_is_on_the_disk_when_it_returns(log: AuditLog, tmp_path: Path) -> None:
    await Recording(log).administered("session opened", ALICE, "r-1", "abcdefghijkl")
    (record,) = told(tmp_path, "admin")
    assert (record["action"], record["by"], record["subject"], record["request_id"]) == (
        "session opened",
        "alice",
        "abcdefghijkl",
        "r-1",
    )


def test_sources_that_answered_are_recorded_and_those_that_are_not_there_are_not(log: AuditLog, tmp_path: Path) -> None:
    recording = Recording(log)
    recording.credential("openai", Asked(strategy="file", result="success", source="/run/key", expires_at=2e9))
    recording.credential("openai", Asked(strategy="vault (hashicorp)", result="error", reason="sealed"))
    recording.credential("openai", Asked(strategy="keyring", result="unavailable", reason="no keyring here"))
    log.stop()
    fetched, failed = told(tmp_path, "credential")
    assert (fetched["result"], fetched["source"], fetched["expires_at"]) == ("fetched", "/run/key", 2e9)
    assert (failed["result"], failed["strategy"], failed["reason"]) == ("failed", "vault (hashicorp)", "sealed")


async def test_where_it_cannot_be_written_nothing_is_administered(log: AuditLog) -> None:
    recording = Recording(log)
    assert (recording.usable(), recording.state()) == (True, "ok")
    recording.require_usable()
    log.stop()
    assert (recording.usable(), recording.state()) == (False, "unwritable")
    with pytest.raises(Unavailable):
        recording.require_usable()
    with pytest.raises(Unavailable):
        await recording.administered("session ended", ALICE, "r-2")
    recording.credential("openai", Asked(strategy="file", result="success"))


async def test_switched_off_it_is_in_nobodys_way() -> None:
    recording = Recording(None)
    recording.start()
    recording.require_usable()
    recording.credential("openai", Asked(strategy="file", result="success"))
    await recording.administered("session ended", ALICE, "r-3")
    recording.stop()
    assert (recording.usable(), recording.state()) == (True, "off")
