"""`llmauth keys`: issues, lists, revokes and rotates the keys by which clients prove who they are."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Protocol, runtime_checkable

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from llmauth.clock import SystemClock
from llmauth.durations import parse_duration
from llmauth.secrets import Secret
from llmauth.storage.home import StateError, state_folder
from llmauth.storage.keys import KeyRecord, KeyStore

app = typer.Typer(
    name="keys",
    help="Issue, list, revoke and rotate the keys of your callers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@runtime_checkable
class ChoosesStorage(Protocol):
    """What the context object of the root command may offer; without it keys are in the state folder."""

    def storage_url(self, configs: list[Path]) -> str | Path:
        """Where the keys are, by these configuration files (empty: the default ones)."""
        ...


Configs = Annotated[
    list[Path] | None,
    typer.Option("--config", envvar="LLMAUTH_CONFIG", exists=True, dir_okay=False, help="Configuration; repeatable."),
]
NameOrId = Annotated[str, typer.Argument(metavar="NAME_OR_ID", help="The name of a key, or its id.")]
AsJson = Annotated[bool, typer.Option("--json", help="For scripts.")]


@app.command()
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name that no other living key has.")],
    user: Annotated[str | None, typer.Option(help="Whose key it is; NAME unless given.")] = None,
    group: Annotated[list[str] | None, typer.Option(help="A group of the user; repeatable.")] = None,
    expires: Annotated[str | None, typer.Option(metavar="90d", help="2s, 90m, 12h, 90d; never unless given.")] = None,
    as_json: AsJson = False,
    config: Configs = None,
) -> None:
    """Make a key and print it, this once, alone on standard output: KEY=$(llmauth keys create ci)."""
    with _store(ctx, config) as store:
        record, key = store.create(name, user, group or (), _moment(expires))
        _show_once(record, key, as_json)


@app.command("list")
def list_(
    ctx: typer.Context,
    as_json: AsJson = False,
    every: Annotated[bool, typer.Option("--all", help="Revoked keys too.")] = False,
    config: Configs = None,
) -> None:
    """Show the keys: whose they are, until when, when last used."""
    with _store(ctx, config) as store:
        records = [record for record in store.list() if every or record.revoked is None]
    if as_json:
        typer.echo(json.dumps([_facts(record) for record in records], indent=2, ensure_ascii=False))
    elif records:
        Console().print(_table(records))
    else:
        _say("No keys yet. Make the first: llmauth keys create NAME")


@app.command()
def revoke(ctx: typer.Context, name_or_id: NameOrId, config: Configs = None) -> None:
    """End a key for good; running servers refuse it within a second."""
    with _store(ctx, config) as store:
        record = store.revoke(name_or_id)
    _say(f"Revoked '{record.name}' (id {record.id}).")


@app.command()
def rotate(ctx: typer.Context, name_or_id: NameOrId, as_json: AsJson = False, config: Configs = None) -> None:
    """Replace a key by a new one of the same name, and print it this once. The old one ends at once."""
    with _store(ctx, config) as store:
        record, key = store.rotate(name_or_id)
        _show_once(record, key, as_json)


@contextmanager
def _store(ctx: typer.Context, configs: list[Path] | None) -> Iterator[KeyStore]:
    """The store, closed afterwards; what goes wrong is one sentence on standard error and an exit code."""
    try:
        store = KeyStore(_location(ctx, configs or []))
        try:
            yield store
        finally:
            store.close()
    except ValueError as error:
        raise _failed(error, 2) from None
    except StateError as error:
        raise _failed(error, 1) from None


def _location(ctx: typer.Context, configs: list[Path]) -> str | Path:
    root = ctx.find_root().obj
    if isinstance(root, ChoosesStorage):
        return root.storage_url(configs)
    return state_folder(os.environ) / "keys.db"


def _failed(error: Exception, code: int) -> typer.Exit:
    _say(f"Error: {error}")
    return typer.Exit(code)


def _moment(expires: str | None) -> float | None:
    if expires is None:
        return None
    seconds = parse_duration(expires)
    if seconds == 0:
        raise ValueError("A key that expires at once is of no use; --expires must be at least 1s.")
    return SystemClock().wall() + seconds


def _show_once(record: KeyRecord, key: Secret, as_json: bool) -> None:
    """The key on standard output and nothing else there, so that a shell can take it."""
    typer.echo(json.dumps(_facts(record) | {"key": key.reveal()}, ensure_ascii=False) if as_json else key.reveal())
    until = "" if record.expires is None else f", until {_iso(record.expires)}"
    _say(f"Key '{record.name}' (id {record.id}) of user '{record.user}'{until}. It is shown this once: keep it safe.")


def _say(sentence: str) -> None:
    typer.echo(sentence, err=True)


def _facts(record: KeyRecord) -> dict[str, object]:
    """A key for scripts; times in ISO 8601, UTC. Hashes are nobody's business."""
    return {
        "id": record.id,
        "name": record.name,
        "user": record.user,
        "groups": list(record.groups),
        "state": _state(record),
        "created": _iso(record.created),
        "expires": _iso(record.expires),
        "revoked": _iso(record.revoked),
        "last_used": _iso(record.last_used),
    }


def _table(records: list[KeyRecord]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("ID", "NAME", "USER", "GROUPS", "EXPIRES", "LAST USED", "STATE"):
        worded = title in ("NAME", "USER", "GROUPS")
        table.add_column(title, overflow="fold", no_wrap=not worded)
    now = SystemClock().wall()
    for record in records:
        state = _state(record)
        table.add_row(
            record.id,
            record.name,
            record.user,
            ", ".join(record.groups),
            "never" if record.expires is None else _from_now(record.expires - now),
            "never" if record.last_used is None else _from_now(record.last_used - now),
            state,
            style=None if state == "active" else "dim",
        )
    return table


def _state(record: KeyRecord) -> str:
    if record.revoked is not None:
        return "revoked"
    expired = record.expires is not None and record.expires <= SystemClock().wall()
    return "expired" if expired else "active"


def _iso(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _from_now(seconds: float) -> str:
    """`in 12 h`, `3 d ago`: the largest unit of which there are two or more."""
    away = abs(seconds)
    size, unit = next((size, unit) for size, unit in _UNITS if away >= 2 * size or size == 1)
    return f"in {round(away / size)} {unit}" if seconds > 0 else f"{round(away / size)} {unit} ago"


_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
