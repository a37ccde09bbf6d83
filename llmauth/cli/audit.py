"""`llmauth audit`: proves that the record of decisions is whole, and tells it to others."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.progress import Progress

from llmauth.audit.export import Export, Wanted, as_csv, as_json
from llmauth.audit.records import KINDS
from llmauth.audit.survey import Named, files_in
from llmauth.audit.verify import Verified, verify
from llmauth.cli.waiting import waiting
from llmauth.clock import SystemClock
from llmauth.durations import parse_duration
from llmauth.storage.home import state_folder

app = typer.Typer(
    name="audit",
    help="Check and export the record of decisions.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

# A bar that is over at once says nothing.
_QUIET_SECONDS = 1.0


@app.command("verify")
def verify_(
    against: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="Heads kept elsewhere: an earlier `verify --json`, or the server's log."
        ),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="For scripts: with the heads, to be kept elsewhere.")] = False,
) -> None:
    """Check every record of every process; the first fault is named, and the exit code is 1."""
    home = state_folder(os.environ)
    kept = () if against is None else _kept(against)
    with _shown(home) as progress:
        found = verify(home, kept, progress)
    if json_:
        typer.echo(json.dumps(_facts(found), indent=2))
    else:
        _tell(found)
    raise typer.Exit(1 if found.faults else 0)


@app.command()
def export(
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="How far back (90m, 24h, 30d), or since when: 2026-01-31 (UTC).")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Likewise; that moment is not included.")] = None,
    user: Annotated[str | None, typer.Option(help="Of this user alone.")] = None,
    instance: Annotated[str | None, typer.Option(help="Of this instance alone.")] = None,
    kind: Annotated[str | None, typer.Option(help=f"Of this kind alone: {', '.join(KINDS)}.")] = None,
    format_: Annotated[Literal["jsonl", "csv"], typer.Option("--format", help="JSON lines, or a table.")] = "jsonl",
) -> None:
    """Print records, those of all processes in the order of time."""
    if kind is not None and kind not in KINDS:
        raise typer.BadParameter(f"there is no kind '{kind}'; there are: {', '.join(KINDS)}", param_hint="--kind")
    begin, end = _moment("--since", since), _moment("--until", until)
    wanted = Wanted(since=begin, until=end, user=user, instance=instance, kind=kind)
    told = Export(home=state_folder(os.environ), wanted=wanted)
    # On a terminal the records themselves tell that it goes on.
    with nullcontext() if sys.stdout.isatty() else waiting("Reading the record"):
        (as_csv if format_ == "csv" else as_json)(told.lines(), sys.stdout.write)
    if told.unreadable:
        typer.echo(
            f"{told.unreadable} lines cannot be read and are left out. Look with: llmauth audit verify", err=True
        )
        raise typer.Exit(1)


def _moment(option: str, text: str | None) -> float | None:
    """Unix time of `24h`, `2026-01-31` or `2026-01-31T08:00`; where no zone is told, it is UTC."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        pass
    try:
        return SystemClock().wall() - parse_duration(text)
    except ValueError:
        said = "neither a length of time, such as 24h or 30d, nor a moment, such as 2026-01-31 or 2026-01-31T08:00"
        raise typer.BadParameter(said, param_hint=option) from None


def _kept(path: Path) -> list[Named]:
    """Heads out of what `verify --json` printed, or out of a log of JSON lines some of which tell them."""
    text = path.read_text(encoding="utf-8", errors="replace")
    printed = (_parsed(text) or {}).get("heads")
    found = printed if isinstance(printed, list) else [_parsed(line) for line in text.splitlines()]
    named = [one for each in found if (one := _named(each))]
    # Of a log most lines are others; of what was printed each is a head, or it is no longer what was printed.
    if len(named) != len(found) if found is printed else not named:
        raise typer.BadParameter("this holds no heads of audit files", param_hint="--against")
    return named


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) else None


def _named(head: object) -> Named | None:
    match head:
        case {"file": str(file), "seq": int(seq), "hash": str(digest)}:
            return Named(file, seq, digest, seq)
    return None


def _facts(found: Verified) -> dict[str, Any]:
    faults = [{"file": one.file, "line": one.line, "what": one.what, "sentence": one.sentence} for one in found.faults]
    return {
        "ok": not faults,
        "files": found.files,
        "records": found.records,
        "unsigned": found.unsigned,
        "fault": faults[0] if faults else None,
        "faults": faults,
        "heads": [{"file": one.name, "seq": one.seq, "hash": one.hash} for one in found.heads],
    }


def _tell(found: Verified) -> None:
    if found.faults:
        typer.echo(f"❌ {_plain(str(found.faults[0]))}", err=True)
        if len(found.faults) > 1:
            typer.echo(f"   And {len(found.faults) - 1} more; --json lists all.", err=True)
        return
    if not found.files:
        typer.echo("Nothing was recorded yet.")
        return
    typer.echo(f"✅ {found.records} records in {found.files} files: none was changed, taken out or put in.")
    if found.unsigned:
        typer.echo(f"   {found.unsigned} more were being written when a process died; nobody was told that they were.")


def _plain(text: str) -> str:
    """Names of files may be anybody's, and say nothing to the terminal."""
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)


@contextmanager
def _shown(home: Path) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, once it has taken a second."""
    console, began = Console(stderr=True), time.monotonic()
    with Progress(console=console, transient=True, disable=not console.is_terminal, auto_refresh=False) as bar:
        task = bar.add_task("Checking", total=_size(home), visible=False)

        def step(count: int) -> None:
            bar.update(task, advance=count, visible=time.monotonic() - began > _QUIET_SECONDS)
            bar.refresh()

        yield step


def _size(home: Path) -> int:
    return sum(path.stat(follow_symlinks=False).st_size for path in files_in(home))
