"""How keys are shown: as a table for people, and as plain facts for scripts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from rich import box
from rich.table import Table
from rich.text import Text

from llmauth.rules import Rules
from llmauth.storage.records import KeyRecord
from llmauth.storage.stored_rules import to_json

_TITLES = ("ID", "KIND", "NAME", "USER", "GROUPS", "LIMITS", "2FA", "EXPIRES", "LAST USED", "STATE")
_WORDED = ("NAME", "USER", "GROUPS", "LIMITS")
# Left out where they would say the same of every key: a terminal is not wide.
_USUAL = {"KIND": "key", "GROUPS": "", "LIMITS": "", "2FA": "no"}
_LEAST_WIDTH = 6
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def facts(record: KeyRecord, now: float) -> dict[str, object]:
    """A key for scripts; times in ISO 8601, UTC. Hashes, and what is sealed, are nobody's business."""
    return {
        "id": record.id,
        "kind": record.kind,
        "name": record.name,
        "user": record.user,
        "groups": list(record.groups),
        "state": _state(record, now),
        "limits": to_json(record.rules),
        "require_totp": record.require_totp,
        "enrolled": iso(record.enrolled),
        "created": iso(record.created),
        "expires": iso(record.expires),
        "revoked": iso(record.revoked),
        "last_used": iso(record.last_used),
    } | (_of_session(record) if record.kind == "session" else {})


def table(records: Sequence[KeyRecord], now: float) -> Table:
    """A line a key; what has ended is dim."""
    rows = [dict(zip(_TITLES, _row(record, now), strict=True)) for record in records]
    titles = [title for title in _TITLES if any(row[title] != _USUAL.get(title) for row in rows)]
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in titles:
        worded = title in _WORDED
        made.add_column(title, overflow="fold", no_wrap=not worded, min_width=_LEAST_WIDTH if worded else None)
    for row in rows:
        # As text, since a glob such as `gpt-[a-c]*` would be read as markup.
        made.add_row(*(Text(row[title]) for title in titles), style=None if row["STATE"] == "active" else "dim")
    return made


def iso(at: float | None) -> str | None:
    """A moment as scripts read it, to the second."""
    return None if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _row(record: KeyRecord, now: float) -> tuple[str, ...]:
    return (
        record.id,
        record.kind,
        record.name,
        record.user,
        ", ".join(record.groups),
        _limits(record.rules),
        _factor(record),
        "never" if record.expires is None else _from_now(record.expires - now),
        "never" if record.last_used is None else _from_now(record.last_used - now),
        _state(record, now),
    )


def _of_session(record: KeyRecord) -> dict[str, object]:
    return {"parent": record.parent, "method": record.method, "second_factor": record.second_factor}


def _limits(rules: Rules) -> str:
    """`60 rpm, claude-*`: what a key's own rules say."""
    counted = (("rpm", rules.rpm), ("tpm", rules.tpm), ("at once", rules.concurrent))
    said = [f"{number} {unit}" for unit, number in counted if number is not None]
    if rules.budget is not None:
        said.append(f"{rules.budget.amount} per {rules.budget.per}")
    for allowed in (rules.models, rules.instances, rules.protocols, rules.hosts, rules.methods):
        said += [] if allowed is None else list(allowed) or ["nothing"]
    return ", ".join(said)


def _factor(record: KeyRecord) -> str:
    if record.kind == "session":
        return "shown" if record.second_factor else "no"
    if record.enrolled is not None:
        return "enrolled"
    return "missing" if record.require_totp else "no"


def _state(record: KeyRecord, now: float) -> str:
    if record.revoked is not None:
        return "revoked"
    return "expired" if record.ended(now) else "active"


def _from_now(seconds: float) -> str:
    """`in 12 h`, `3 d ago`: the largest unit of which there are two or more."""
    away = abs(seconds)
    size, unit = next((size, unit) for size, unit in _UNITS if away >= 2 * size or size == 1)
    return f"in {round(away / size)} {unit}" if seconds > 0 else f"{round(away / size)} {unit} ago"
