"""How a key is shown: every fact once, nothing that is a secret, and no sign that a terminal would obey."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from io import StringIO

import pytest
from rich.console import Console

from llmauth.cli.key_tables import facts, iso, table
from llmauth.rules import Budget, Rules
from llmauth.storage.records import KeyRecord

NOW = 1_800_000_000.0
KEY = KeyRecord(
    id="k3y1d",
    name="ci",
    user="alice",
    groups=(),
    algorithm="bcrypt-sha256",
    hash="$2b$canary",
    created=NOW,
    expires=None,
    revoked=None,
    last_used=None,
)
SESSION = replace(KEY, id="s3ss10n", kind="session", parent=KEY.id, method="api_key", second_factor=True)


def shown(*records: KeyRecord) -> str:
    screen = StringIO()
    Console(file=screen, width=250, force_terminal=False).print(table(records, NOW))
    return screen.getvalue()


def test_facts_are_json_without_what_is_hashed_or_sealed():
    told = facts(replace(KEY, kind="aws", sealed="v1:canary", expires=NOW + 0.9), NOW)
    assert "canary" not in json.dumps(told)
    assert (told["created"], told["expires"], told["revoked"]) == ("2027-01-15T08:00:00Z", "2027-01-15T08:00:00Z", None)
    assert "parent" not in told
    assert {"parent": "k3y1d", "method": "api_key", "second_factor": True}.items() <= facts(SESSION, NOW).items()


@pytest.mark.parametrize(
    ("record", "state"),
    [
        (KEY, "active"),
        (replace(KEY, expires=NOW + 1), "active"),
        (replace(KEY, expires=NOW), "expired"),
        (replace(KEY, expires=NOW - 1, revoked=NOW - 2), "revoked"),
    ],
)
def test_the_state_of_a_key(record, state):
    assert facts(record, NOW)["state"] == state
    assert state in shown(record)


def test_columns_that_say_nothing_are_left_out():
    plain = shown(KEY)
    assert not any(title in plain for title in ("KIND", "GROUPS", "LIMITS", "2FA"))
    more = shown(KEY, replace(KEY, groups=("a", "b"), rules=Rules(rpm=5), require_totp=True, kind="aws"))
    for text in ("KIND", "aws", "GROUPS", "a, b", "LIMITS", "5 rpm", "2FA", "missing"):
        assert text in more


def test_all_that_a_key_may_do():
    rules = Rules(
        models=("claude-*",),
        instances=(),
        hosts=("api.openai.com",),
        rpm=60,
        tpm=7,
        concurrent=2,
        budget=Budget(amount=Decimal("0.10"), per="day"),
    )
    line = shown(replace(KEY, rules=rules))
    assert "60 rpm, 7 tpm, 2 at once, 0.10 per day, claude-*, nothing, api.openai.com" in line


@pytest.mark.parametrize("glob", ["gpt-[a-c]*", "[red]x", "[/]", "a\\[b]", "[link=https://x.invalid]y[/link]"])
def test_globs_are_no_markup(glob):
    assert glob in shown(replace(KEY, rules=Rules(models=(glob,))))


@pytest.mark.parametrize(
    ("record", "text"),
    [
        (replace(KEY, enrolled=NOW, require_totp=True), "enrolled"),
        (SESSION, "shown"),
        (replace(KEY, require_totp=True), "missing"),
    ],
)
def test_second_factors(record, text):
    assert text in shown(record)


@pytest.mark.parametrize(
    ("away", "text"),
    [
        (90 * 86_400, "in 90 d"),
        (36 * 3600, "in 36 h"),
        (119, "in 119 s"),
        (121, "in 2 min"),
        (0.2, "in 0 s"),
        (-7200, "2 h ago"),
        (-1, "1 s ago"),
    ],
)
def test_moments_are_told_from_now(away, text):
    assert text in shown(replace(KEY, expires=NOW + away))


def test_a_moment_that_never_comes():
    assert iso(None) is None
    assert shown(KEY).count("never") == 2
