"""`llmauth uninstall`: lists all that is ours on this machine, takes exactly that away, and says what it cannot."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from llmauth.cli.asking import confirmed, is_person
from llmauth.cli.leave import ended
from llmauth.cli.places import short
from llmauth.cli.waiting import waiting
from llmauth.clients import joined
from llmauth.config.environment import default_file, files
from llmauth.config.problems import ConfigError
from llmauth.config.settings import Settings, read_settings
from llmauth.control.client import running
from llmauth.credentials.entries import SERVICE, Entry, KeyringRefused, forget, recorded
from llmauth.credentials.keyring import KeyringOptions
from llmauth.installation import inventory, shell_lines
from llmauth.installation.inventory import AUDIT, STATE, Listing, Shelf
from llmauth.installation.written import is_ours, remembered
from llmauth.storage.home import StateError, state_folder

app = typer.Typer(help="Take away all that is ours.", add_completion=False, pretty_exceptions_enable=False)

_BEYOND = (
    "No trust store of this machine was ever touched. What was given to others is still there: the public CA on client "
    "machines, in images and ConfigMaps; keys that you issued are worth nothing without their database.",
    "The program itself: pipx uninstall llm-proxy-auth, or the folder of its checkout.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What would go, by kind, and sentences on what stays."""

    home: Path
    shelf: Shelf
    state: Listing
    configs: tuple[Path, ...]
    entries: tuple[Entry, ...]
    profile: tuple[Path, ...]
    shells: tuple[Path, ...]
    stays: tuple[str, ...] = field(default=())

    def lines(self) -> Iterator[str]:
        yield from (f"configuration    {short(path)}" for path in self.configs)
        yield from (f"state            {short(path)}" for path in self.state.ours)
        yield from (f"keyring entry    {'/'.join(entry)}" for entry in self.entries)
        yield from (f"joined proxy     {short(path)}" for path in self.profile)
        yield from (f"completion line  {short(path)}" for path in self.shells)


@app.command()
def uninstall(
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing.")] = False,
    keep_audit: Annotated[
        bool, typer.Option("--keep-audit", help="Leave the record of decisions and its key.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List it, and take nothing away.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Take away configuration, state, certificate authority, keyring entries and joined proxy: all that is ours."""
    plan = _planned(keep_audit=keep_audit)
    there = list(plan.lines())
    if not as_json:
        _list(plan, there)
    if not there or dry_run:
        _finish(plan, there, (), as_json=as_json, dry=True)
        return
    _require_stopped(plan.home)  # before anything is asked
    if not yes and not (is_person() and confirmed("Take all of this away?")):
        why = "nobody confirmed it" if is_person() else "nobody is here to confirm it; give --yes"
        typer.echo(f"Error: nothing was taken away: {why}.", err=True)
        raise typer.Exit(1)
    _require_stopped(plan.home)  # and after it was answered
    with waiting("Taking it away"):
        failures = tuple(_carry_out(plan))
    _finish(plan, there, failures, as_json=as_json, dry=False)
    if failures:
        raise typer.Exit(1)


# ---- what there is -------------------------------------------------------------------------------------------------


def _planned(*, keep_audit: bool) -> _Plan:
    home, settings = state_folder(os.environ), _settings()
    shelf = _without_audit() if keep_audit else STATE
    state = inventory.listing(home, shelf)
    configs = tuple(path for path in dict.fromkeys((*_own_file(), *remembered(home))) if is_ours(path))
    shells = shell_lines.found(Path(os.environ.get("HOME") or "/nonexistent"))
    linked = [path for path in shells if path.is_symlink()]
    return _Plan(
        home=home,
        shelf=shelf,
        state=state,
        configs=configs,
        entries=tuple(_entries(home, settings)),
        profile=tuple(_profile()),
        shells=tuple(path for path in shells if path not in linked),
        stays=tuple(_staying(home, settings, state, configs, linked)),
    )


def _without_audit() -> Shelf:
    rest = STATE.without(*AUDIT)
    return Shelf(files=rest.files.replace("|audit)", ")"), folders=rest.folders)


def _own_file() -> Iterable[Path]:
    path = default_file(os.environ)
    return () if path is None else (path,)


def _settings() -> Settings | None:
    """None for a configuration that cannot be read: then what it names is not known."""
    try:
        return read_settings([], os.environ)
    except ConfigError:
        return None


def _entries(home: Path, settings: Settings | None) -> Iterator[Entry]:
    """Those that we put there, and those of this configuration under our own name."""
    yield from recorded(home)
    for name, instance in settings.instances.items() if settings is not None else ():
        for one in instance.strategies:
            if isinstance(one, KeyringOptions) and one.service == SERVICE:
                entry = (one.service, one.username or name)
                if entry not in recorded(home) and _is_there(entry):
                    yield entry


def _is_there(entry: Entry) -> bool:
    from llmauth.credentials.entries import read

    try:
        return read(entry) is not None
    except KeyringRefused:
        return False


def _profile() -> Iterator[Path]:
    place = joined.folder(os.environ)
    for name in (joined.PROFILE, joined.CA_FILE, joined.SESSION_FILE):
        if (place / name).is_file() and not (place / name).is_symlink():
            yield place / name


def _staying(
    home: Path, settings: Settings | None, state: Listing, configs: tuple[Path, ...], linked: list[Path]
) -> Iterator[str]:
    own = (*configs, *_profile())
    yield from (f"{short(path)}: not ours, or a link" for path in state.foreign if path not in own)
    yield from (f"{short(path)}: a link; take our line out where it leads" for path in linked)
    for path in files([], os.environ):
        if path.absolute() not in configs:
            yield f"{short(path)}: a configuration that `llmauth init` did not write"
    if settings is None:
        yield "what the configuration names besides, since it cannot be read: llmauth config check"
        return
    if not settings.ca.folder.is_relative_to(home):
        yield f"{settings.ca.folder}: a certificate authority outside of the state folder"
    if settings.storage.url != f"sqlite:///{home / 'keys.db'}":
        yield "the key database that `storage.url` names"


# ---- and its end ---------------------------------------------------------------------------------------------------


def _require_stopped(home: Path) -> None:
    numbers = running(home)
    if numbers:
        which = ", ".join(map(str, numbers))
        typer.echo(
            f"Error: nothing was taken away: a proxy runs on {home} (process {which}). End it first: kill {which}",
            err=True,
        )
        raise typer.Exit(1)


def _carry_out(plan: _Plan) -> Iterator[str]:
    """What could not be taken away, in sentences."""
    _log_out()
    shelf = plan.shelf
    for entry in plan.entries:
        try:
            forget(plan.home, entry)
        except KeyringRefused as refusal:
            shelf = replace(plan.shelf, files=plan.shelf.files.replace(r"keyring-entries\.json|", ""))
            yield f"keyring entry {'/'.join(entry)}: {refusal}"
    joined.forget_joined(os.environ)
    for path in plan.shells:
        if not shell_lines.take_out(path):
            yield f"{path}: the line could not be taken out"
    for path in plan.configs:
        yield from _unlinked(path)
    gone = inventory.remove(plan.home, shelf)
    yield from (f"{path}: could not be taken away" for path in gone.foreign if path in plan.state.ours)
    for folder in {path.parent for path in (*plan.configs, *plan.profile)}:
        _remove_if_empty(folder)


def _log_out() -> None:
    try:
        found = joined.read(os.environ)
    except StateError:
        return
    if found is not None:
        ended(found)


def _unlinked(path: Path) -> Iterator[str]:
    try:
        if is_ours(path):
            path.unlink()
    except OSError as error:
        yield f"{path}: {error.strerror}"


def _remove_if_empty(folder: Path) -> None:
    own = default_file(os.environ)
    # Of a configuration that was written elsewhere the folder is not ours.
    if own is not None and folder == own.parent and not folder.is_symlink():
        try:
            folder.rmdir()
        except OSError:
            return


def _list(plan: _Plan, there: list[str]) -> None:
    for line in there:
        typer.echo(line)
    if not there:
        typer.echo("Nothing of llmauth is on this machine, as far as its folders and its keyring record tell.")
    for line in plan.stays:
        typer.echo(f"stays            {line}")


def _finish(plan: _Plan, there: list[str], failures: tuple[str, ...], *, as_json: bool, dry: bool) -> None:
    if as_json:
        told: Mapping[str, Any] = {
            "configurations": list(map(str, plan.configs)),
            "state": list(map(str, plan.state.ours)),
            "keyring": ["/".join(entry) for entry in plan.entries],
            "joined": list(map(str, plan.profile)),
            "completion": list(map(str, plan.shells)),
            "stays": list(plan.stays),
            "failed": list(failures),
            "removed": bool(there) and not dry,
        }
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
        return
    for failure in failures:
        typer.echo(f"Error: {failure}", err=True)
    if there and not dry:
        typer.echo(f"Taken away: {len(there) - len(failures)} of {len(there)}.")
        for line in _BEYOND:
            typer.echo(line)
