"""`llmauth secret`: the providers' keys in the keyring of this machine, put there, listed and taken away."""

from __future__ import annotations

import getpass
import json
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from llmauth import providers
from llmauth.cli.waiting import waiting
from llmauth.clock import SystemClock
from llmauth.config.settings import Settings, read_settings
from llmauth.control.client import ControlFailed, ask_all, running
from llmauth.credentials import build
from llmauth.credentials.entries import Entry, KeyringRefused, forget, keep, read, store_name
from llmauth.credentials.fields import credential_at
from llmauth.credentials.keyring import REFRESH_AFTER, KeyringOptions
from llmauth.gateway.acceptance import Accepted, accepted
from llmauth.gateway.sourcing import outbound_of, surroundings_of
from llmauth.platform import ThisMachine
from llmauth.secrets import Credential, Secret
from llmauth.sources import SourceFailed, SourceUnavailable

app = typer.Typer(
    help="The providers' keys in the keyring of this machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

# A credential file of Google has 2.4 KiB, a key of OCI in PEM as much.
_LONGEST = 64 * 1024

Configs = Annotated[list[Path] | None, typer.Option("--config", help="Configuration; repeatable.")]
AsJson = Annotated[bool, typer.Option("--json", help="For scripts.")]
Instance = Annotated[str, typer.Argument(metavar="INSTANCE", help="Its name in the configuration.")]

_ELSEWHERE = (
    "Without a keyring the value may stand in a file of mode 0600, `{{type: file, path: …}}`, or in a variable, "
    "`{{type: environment}}`, under instances.{name}.authentication.strategies."
)


@app.command("set")
def set_(
    instance: Instance,
    config: Configs = None,
    no_test: Annotated[bool, typer.Option("--no-test", help="Do not ask the provider whether it takes it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Keep the key of an instance in the keyring: asked for without showing it, or read from standard input."""
    settings = read_settings(config or [], os.environ)
    entry = _entry(settings, instance)
    try:
        store_name()  # before a secret is typed in vain
    except KeyringRefused as refusal:
        raise _failed(f"{refusal}\n{_ELSEWHERE.format(name=instance)}") from None
    value = _value(settings, instance)
    try:
        store = keep(settings.home, entry, value)
    except KeyringRefused as refusal:
        raise _failed(f"{refusal}\n{_ELSEWHERE.format(name=instance)}") from None
    tried = None if no_test else _tried(settings, instance)
    taken = _taken(settings, instance)
    if as_json:
        typer.echo(json.dumps(_facts(entry, store, tried, taken), indent=2))
    else:
        typer.echo(f"Stored in {store} as {'/'.join(entry)}.{f' {_of_trial(tried)}' if tried else ''}")
        typer.echo(taken.sentence)
    if tried is not None and tried.outcome == "refused":
        typer.echo(f"{_REFUSED} Set the right one with: llmauth secret set {instance}", err=True)
        raise typer.Exit(1)


@app.command("list")
def list_(config: Configs = None, as_json: AsJson = False) -> None:
    """Which instances look into the keyring, for which entry, and whether it is there; never what it is."""
    settings = read_settings(config or [], os.environ)
    rows = [(name, _entry_of(settings, name)) for name in settings.instances]
    try:
        told = [(name, entry, read(entry) is not None) for name, entry in rows if entry is not None]
    except KeyringRefused as refusal:
        raise _failed(str(refusal)) from None
    if as_json:
        facts = [{"instance": name, "entry": "/".join(entry), "stored": there} for name, entry, there in told]
        typer.echo(json.dumps(facts, indent=2, ensure_ascii=False))
        return
    for name, entry, there in told:
        typer.echo(f"{name}   {'/'.join(entry)}   {'stored' if there else f'missing: llmauth secret set {name}'}")
    if not told:
        typer.echo("No instance looks into the keyring.", err=True)


@app.command()
def remove(instance: Instance, config: Configs = None) -> None:
    """Take the key of an instance out of the keyring."""
    settings = read_settings(config or [], os.environ)
    entry = _entry(settings, instance)
    try:
        there = forget(settings.home, entry)
    except KeyringRefused as refusal:
        raise _failed(str(refusal)) from None
    if not there:
        raise _failed(f"There is no keyring entry {'/'.join(entry)}.")
    typer.echo(f"Removed {'/'.join(entry)}.")
    if running(settings.home):
        typer.echo("A running proxy uses what it has read until it is restarted, or its provider refuses it.")


# ---- which entry ---------------------------------------------------------------------------------------------------


def _entry(settings: Settings, instance: str) -> Entry:
    if instance not in settings.instances:
        known = ", ".join(settings.instances) or "none; write a configuration with `llmauth init`"
        raise typer.BadParameter(f"no instance is named '{instance}'; there are: {known}", param_hint="INSTANCE")
    entry = _entry_of(settings, instance)
    if entry is None:
        raise typer.BadParameter(
            f"instance '{instance}' does not look into the keyring. Add a line under "
            f"instances.{instance}.authentication.strategies:\n  - {{type: keyring}}",
            param_hint="INSTANCE",
        )
    return entry


def _entry_of(settings: Settings, instance: str) -> Entry | None:
    options = _options_of(settings, instance)
    return None if options is None else (options.service, options.username or instance)


def _options_of(settings: Settings, instance: str) -> KeyringOptions | None:
    found = settings.instances[instance].strategies
    return next((one for one in found if isinstance(one, KeyringOptions)), None)


# ---- its value -----------------------------------------------------------------------------------------------------


def _value(settings: Settings, instance: str) -> Secret:
    """What was typed, or the line on standard input; it is no argument, which other users of a machine can see."""
    if sys.stdin.isatty():
        text = getpass.getpass("Value (hidden): ")
    else:
        text = sys.stdin.read(_LONGEST + 1)
    value = text.strip()
    if not value:
        raise _failed("No value was given, and nothing is changed.")
    if len(value) > _LONGEST or "\x00" in value:
        raise _failed(f"This is no secret of a provider: it is longer than {_LONGEST // 1024} KiB, or no text.")
    several = "\n" in value and not value.startswith(("{", "-----BEGIN"))
    if several:
        raise _failed("Standard input holds several lines, where one value is wanted; nothing is changed.")
    try:
        credential_at("the value", value, providers.build(instance, settings.instances[instance]).provider)
    except (SourceFailed, SourceUnavailable) as refusal:
        raise _failed(f"The value cannot be used, and nothing is changed: {refusal.reason}") from None
    return Secret(value)


# ---- whether its provider takes it ---------------------------------------------------------------------------------

_REFUSED = "The provider does not take this value: it is wrong, or was revoked."


def _tried(settings: Settings, instance: str) -> Accepted:
    """By a call that costs nothing, with what the keyring gives back."""
    handler = providers.build(instance, settings.instances[instance])
    with waiting(f"Asking {handler.base.host}"):
        try:
            credential = _loaded(settings, instance)
        except (SourceFailed, SourceUnavailable) as refusal:
            # Where it is exchanged for a token, whoever exchanges it has the first word.
            return Accepted(outcome="refused", call="exchange for a token", reason=refusal.reason)
        return accepted(handler, credential, outbound_of(settings))


def _loaded(settings: Settings, instance: str) -> Credential:
    handler, clock = providers.build(instance, settings.instances[instance]), SystemClock()
    options = _options_of(settings, instance)
    assert options is not None
    here = surroundings_of(settings, ThisMachine(os.environ), outbound_of(settings), clock)
    placed = replace(here, instance=instance, provider=handler.provider, region=handler.region)
    return build(options, placed).load().credential


def _of_trial(tried: Accepted) -> str:
    asked = f"Test call: {tried.call}" if tried.call else "No test call"
    match tried.outcome:
        case "accepted" | "forbidden":
            known = "" if tried.outcome == "accepted" else "; the key is known, and may not ask for this"
            return f"{asked} → {tried.status} (no tokens used{known})"
        case "untried":
            return f"{asked}: {tried.reason}"
        case _:
            why = f" {tried.reason}" if tried.reason else ""
            return f"{asked} → {tried.status or 'no answer:'}{why}"


# ---- whoever runs already ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taken:
    """Whether running proxies use it by now, and how that is said."""

    running: int
    sentence: str


def _taken(settings: Settings, instance: str) -> _Taken:
    try:
        told = _ask_running(settings, instance)
    except ControlFailed as failure:
        later = f"It reads the keyring again within {REFRESH_AFTER:g} s."
        return _Taken(running=1, sentence=f"{failure} {later}")
    if not told:
        return _Taken(running=0, sentence="No proxy runs; the next `llmauth serve` finds it.")
    by = [str(one.get("strategy")) for one in told]
    if all(one == "keyring" for one in by):
        return _Taken(running=len(told), sentence="The running proxy uses it from now on.")
    return _Taken(
        running=len(told), sentence=f"The running proxy goes on with {by[0]}, which stands before the keyring."
    )


def _ask_running(settings: Settings, instance: str) -> list[dict[str, Any]]:
    return ask_all(settings.home, {"ask": "look", "instance": instance})


def _facts(entry: Entry, store: str, tried: Accepted | None, taken: _Taken) -> dict[str, object]:
    trial = None if tried is None else {"outcome": tried.outcome, "call": tried.call, "status": tried.status}
    return {"entry": "/".join(entry), "store": store, "test": trial, "running": taken.running}


def _failed(sentence: str) -> typer.Exit:
    typer.echo(f"Error: {sentence}", err=True)
    return typer.Exit(1)
