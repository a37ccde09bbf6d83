"""A record comes back from Redis as it was written, in every field; what is none is no record."""

from __future__ import annotations

from dataclasses import fields, replace
from decimal import Decimal

import pytest

from llmauth.rules import Budget, Rules
from llmauth.storage.records import KeyRecord
from llmauth.storage.redis_records import Unreadable, from_fields, pairs, to_fields

LEAST = KeyRecord(
    id="id",
    name="ci",
    user="alice",
    groups=("a", "ü"),
    algorithm="bcrypt-sha256",
    hash="",
    created=1_800_000_000.123,
    expires=None,
    revoked=None,
    last_used=None,
)
FULL = replace(
    LEAST,
    hash="h",
    expires=1.5,
    revoked=2.25,
    last_used=3.125,
    kind="session",
    parent="p",
    method="oidc",
    rules=Rules(models=("a",), rpm=3, budget=Budget(amount=Decimal("1.10"), per="week")),
    require_totp=True,
    enrolled=4.5,
    sealed="v1:x:y",
    second_factor=True,
)


@pytest.mark.parametrize("written", [LEAST, FULL], ids=["least", "full"])
def test_it_comes_back_as_it_was_written(written):
    assert from_fields(to_fields(written)) == written


def test_every_field_is_kept():
    assert pairs(to_fields(FULL)).keys() == {each.name for each in fields(KeyRecord)}


@pytest.mark.parametrize(
    "change",
    [
        *({"id": None}, {"name": None}, {"created": None}, {"created": "soon"}, {"expires": ""}, {"kind": "root"}),
        *({"groups": "{}"}, {"groups": "[1]"}, {"groups": "no"}, {"require_totp": "0"}, {"algorithm": None}),
    ],
)
def test_what_is_none_is_refused(change):
    """Nothing that is missing is taken for what it would mean if nobody had said it."""
    said = {name: value for name, value in {**pairs(to_fields(FULL)), **change}.items() if value is not None}
    with pytest.raises(Unreadable):
        from_fields([word for pair in said.items() for word in pair])


def test_half_a_pair_is_none():
    with pytest.raises(Unreadable):
        from_fields(to_fields(FULL)[:-1])


@pytest.mark.parametrize("rules", ["no", '{"rpm": "many"}', "[]"])
def test_rules_that_cannot_be_read_allow_nothing(rules):
    said = {**pairs(to_fields(FULL)), "rules": rules}
    found = from_fields([word for pair in said.items() for word in pair])
    assert found.rules.models == found.rules.hosts == ()
