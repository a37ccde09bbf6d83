"""`llmauth doctor`: looks at everything on the way from a client to its provider, and names what mends each fault."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from llmauth.cli.own import OwnProxy
from llmauth.cli.proxy import ProxyFailed
from llmauth.config.problems import ConfigError
from llmauth.config.settings import Settings, read_settings
from llmauth.doctor.examinations import EXAMINATIONS, chosen
from llmauth.doctor.examining import Examination, Report, examined
from llmauth.doctor.findings import Finding, Verdict
from llmauth.doctor.lent import NotLent
from llmauth.doctor.patient import Patient
from llmauth.platform import ThisMachine
from llmauth.telemetry.logs import configure

app = typer.Typer(help="Find what is wrong, and what mends it.", add_completion=False, pretty_exceptions_enable=False)

_NAMES = ", ".join(one.name for one in EXAMINATIONS)
_MARKS: dict[Verdict, tuple[str, str, str]] = {
    "ok": ("✓", "ok", "green"),
    "fail": ("✗", "FAIL", "red"),
    "warn": ("!", "!", "yellow"),
    "skip": ("-", "-", "dim"),
}
_PLAIN = str.maketrans({"→": "->", "…": "...", "≥": ">="})
_BETWEEN = "   "
_WIDE = 120


@app.command()
def doctor(
    config: Annotated[
        list[Path] | None, typer.Option("--config", help="A configuration file; several are merged. Or LLMAUTH_CONFIG.")
    ] = None,
    k8s: Annotated[bool, typer.Option("--k8s", help="Inside a pod: its role, its endpoints, its cluster.")] = False,
    only: Annotated[list[str] | None, typer.Option(metavar="NAME", help=f"This alone; repeatable. {_NAMES}")] = None,
    skip: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Not this one; repeatable.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Look at configuration, state, certificates, clients and providers; 0 where nothing failed, and 1 otherwise.

    No token is paid for, and nobody is called but the providers that are configured.
    """
    try:
        examinations = chosen(only or [], skip or [], pod=k8s)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    settings = _read(config or [], as_json)
    configure("error", None)
    patient = Patient(settings=settings, machine=ThisMachine(os.environ), starts=partial(_started, config or []))
    reports = _told_as_json(patient, examinations) if as_json else _told(patient, examinations)
    if any(finding.verdict == "fail" for report in reports for finding in report.findings):
        raise typer.Exit(1)


def _read(config: list[Path], as_json: bool) -> Settings:
    """Every fault of the configuration with its file and line, and the end."""
    try:
        return read_settings(config, os.environ)
    except ConfigError as error:
        if not as_json:
            raise
        problems = [
            {"check": "configuration", "verdict": "fail", "what": str(one), "fix": "llmauth config check"}
            for one in error.problems
        ]
        typer.echo(json.dumps({"ok": False, "findings": problems}, indent=2, ensure_ascii=False))
        raise typer.Exit(2) from None


@contextmanager
def _started(config: Sequence[Path]) -> Iterator[int]:
    """A proxy as `llmauth run` starts one, for as long as clients are tried."""
    try:
        own = OwnProxy(config, os.environ)
        with own:
            yield own.number
    except ProxyFailed as failure:
        raise NotLent(str(failure)) from None


def _told_as_json(patient: Patient, examinations: Sequence[Examination]) -> Sequence[Report]:
    reports = list(examined(patient, examinations))
    findings = [_plainly(finding) for report in reports for finding in report.findings]
    failed = any(one["verdict"] == "fail" for one in findings)
    typer.echo(json.dumps({"ok": not failed, "findings": findings}, indent=2, ensure_ascii=False))
    return reports


def _plainly(finding: Finding) -> dict[str, str | None]:
    return {"check": finding.check, "verdict": finding.verdict, "what": finding.what, "fix": finding.fix}


# ---- for people ----------------------------------------------------------------------------------------------------


def _told(patient: Patient, examinations: Sequence[Examination]) -> Sequence[Report]:
    """Each group as soon as it and those before it are known."""
    console = Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False)
    plain = not _can_write(console)
    reports = []
    with _waiting() as progress:
        for report in examined(patient, examinations, progress):
            reports.append(report)
            for line in lines(report.findings, console.width, plain=plain):
                console.print(line, soft_wrap=True)
    return reports


def _can_write(console: Console) -> bool:
    try:
        "✓✗→…≥".encode(console.encoding)
    except (UnicodeError, LookupError):
        return False
    return True


@contextmanager
def _waiting() -> Iterator[Callable[[Sequence[str]], None]]:
    """Which examinations still run, on a terminal alone; it disappears when all are there."""
    if not sys.stderr.isatty():
        yield lambda names: None
        return
    with Console(stderr=True).status("Looking …") as status:
        yield lambda names: status.update(f"Looking at {', '.join(names)} …")


def lines(findings: Iterable[Finding], width: int, *, plain: bool) -> Iterator[Text]:
    """What is well, several to a line; then each thing that is not, with what mends it on the same line."""
    every = list(findings)
    yield from _packed([_said(one, plain) for one in every if one.verdict == "ok"], width)
    yield from (_said(one, plain) for one in every if one.verdict in ("fail", "warn"))
    yield from _packed([_said(one, plain) for one in every if one.verdict == "skip"], width)


def _packed(texts: Sequence[Text], width: int) -> Iterator[Text]:
    line = Text()
    for text in texts:
        if line and line.cell_len + len(_BETWEEN) + text.cell_len > width:
            yield line
            line = Text()
        line = line + Text(_BETWEEN) + text if line else text
    if line:
        yield line


def _said(finding: Finding, plain: bool) -> Text:
    mark, word, style = _MARKS[finding.verdict]
    what = _shown(f"{finding.what}{_fix(finding)}", plain)
    return Text.assemble((word if plain else mark, style), " ", (what, "dim" if finding.verdict == "skip" else ""))


def _fix(finding: Finding) -> str:
    """What is a sentence stands as one; a command or a line of configuration is announced."""
    if finding.fix is None:
        return ""
    stop = "" if finding.what.endswith(".") else "."
    return f"{stop} {finding.fix}" if finding.fix.endswith(".") else f"{stop}  Fix: {finding.fix}"


def _shown(text: str, plain: bool) -> str:
    """On one line, and with nothing that a terminal would obey: files, models and hosts are named by anybody."""
    shown = "".join(one if one.isprintable() else " " if one.isspace() else "\N{REPLACEMENT CHARACTER}" for one in text)
    return shown.translate(_PLAIN).encode("ascii", "replace").decode() if plain else shown
