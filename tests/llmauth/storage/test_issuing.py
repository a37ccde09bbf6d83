from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from llmauth.clock import ManualClock
from llmauth.rules import Rules
from llmauth.secrets import Secret
from llmauth.storage.issuing import Issuing, taken
from llmauth.storage.records import KeyNotFound, KeyRecord
from llmauth.storage.sealing import SealingKey
from llmauth.storage.tables import KEYS


class Place(Issuing):
    """Keeps records in a list."""

    def __init__(self, folder: Path) -> None:
        super().__init__(ManualClock(wall=1000.0), SealingKey(folder))
        self.kept: list[KeyRecord] = []

    def _issue(self, record: KeyRecord, secret: Secret) -> KeyRecord:
        self._sealing.require(())
        sealed = self._sealing.seal(secret, KEYS.name, record.id) if record.kind == "aws" else None
        self.kept.append(replace(record, sealed=sealed))
        return self.kept[-1]

    def _records(self, *, with_sessions: bool) -> Iterable[KeyRecord]:
        return self.kept


def test_the_user_is_the_name_unless_given(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.create("ci", rules=Rules(rpm=5), require_totp=True)
    place.create("laptop", user="alice", groups=["team"], expires_at=2000.0)
    ci, laptop = place.kept
    assert (ci.user, ci.rules.rpm, ci.require_totp, ci.created) == ("ci", 5, True, 1000.0)
    assert (laptop.user, laptop.groups, laptop.expires) == ("alice", ("team",), 2000.0)


def test_a_pair_opens_again_and_a_key_has_nothing_to_open(tmp_path: Path) -> None:
    place = Place(tmp_path)
    pair, key_id, secret = place.create_pair("sdk")
    assert key_id == pair.id
    assert place.pair_secret(pair).reveal() == secret.reveal()
    with pytest.raises(KeyNotFound, match="no sealed secret"):
        place.pair_secret(place.create("ci")[0])


def test_the_living_one_of_a_name_is_first(tmp_path: Path) -> None:
    place = Place(tmp_path)
    for created, revoked in ((1.0, 5.0), (2.0, None), (3.0, 6.0)):
        record, _ = place.create("ci")
        place.kept[-1] = replace(record, created=created, revoked=revoked)
    place.create("a")
    assert [(r.name, r.created) for r in place.list()] == [("a", 1000.0), ("ci", 2.0), ("ci", 3.0), ("ci", 1.0)]


def test_the_sentence_for_a_name_that_is_taken(tmp_path: Path) -> None:
    record, _ = Place(tmp_path).create("ci", expires_at=1500.0)
    assert "a living key named 'ci'" in taken(record, 1400.0)
    assert "an expired key" in taken(record, 1500.0)
