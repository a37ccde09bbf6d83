"""`llmauth creds`: whose credentials are in use, and why not others; what would happen elsewhere, or at an expiry."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from llmauth.cli import tables
from llmauth.cli.waiting import waiting
from llmauth.config.settings import Settings, read_settings
from llmauth.control import facts
from llmauth.control.client import ControlFailed, ask_all
from llmauth.gateway.trial import Outlook, Trial, ask, foresee
from llmauth.platform import ThisMachine
from llmauth.platform.simulated import SIMULATED, simulated
from llmauth.storage.home import state_folder

app = typer.Typer(help="Show where credentials come from.", add_completion=False, pretty_exceptions_enable=False)


@app.command()
def creds(
    config: Annotated[
        list[Path] | None, typer.Option("--config", help="A configuration file; several are merged. Or LLMAUTH_CONFIG.")
    ] = None,
    simulate: Annotated[
        str | None, typer.Option(metavar="PLATFORM", help=f"What would happen there: {', '.join(SIMULATED)}.")
    ] = None,
    drill: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="expire INSTANCE", help="Rehearse an expiry on the running proxy."),
    ] = None,
    anew: Annotated[bool, typer.Option("--anew", help="Ask every source once, whether a proxy runs or not.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Ask the running proxy how its credentials stand; where none runs, ask every source of the configuration once."""
    if simulate is not None and drill is not None:
        raise typer.BadParameter("a platform that is simulated has no proxy whose expiry could be rehearsed")
    if simulate is not None:
        _show_foreseen(read_settings(config or [], os.environ), simulate, as_json)
    elif drill is not None:
        _rehearse(drill, as_json)
    else:
        _show(config or [], as_json, anew)


def _show(config: list[Path], as_json: bool, anew: bool) -> None:
    running = [] if anew else _ask({"ask": "credentials"})
    if running:
        _tell(running, as_json)
        return
    settings = read_settings(config, os.environ)
    with waiting("Asking every source once"):
        trial = asyncio.run(ask(settings, ThisMachine(os.environ)))
    if not as_json:
        typer.echo("Every source was asked just now; no running proxy was.", err=True)
    _tell([_of_trial(trial, time.time())], as_json)


def _ask(question: Mapping[str, Any]) -> list[dict[str, Any]]:
    try:
        return ask_all(state_folder(os.environ), question)
    except ControlFailed as failure:
        typer.echo(str(failure), err=True)
        raise typer.Exit(1) from None


# ---- a rehearsal ---------------------------------------------------------------------------------------------------


def _rehearse(drill: tuple[str, str], as_json: bool) -> None:
    what, instance = drill
    if what != "expire":
        raise typer.BadParameter("write: --drill expire INSTANCE", param_hint="--drill")
    with waiting(f"The credential of {instance} is taken to have ended"):
        told = _ask({"ask": "expire", "instance": instance})
    if not told:
        typer.echo("No proxy runs on this state folder (LLMAUTH_HOME); start it with: llmauth serve", err=True)
        raise typer.Exit(1)
    if as_json:
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        for one in told:
            tables.show_rehearsal(one)
    if any(one["after"] is None for one in told):
        raise typer.Exit(1)


# ---- another platform ----------------------------------------------------------------------------------------------


def _show_foreseen(settings: Settings, name: str, as_json: bool) -> None:
    if name not in SIMULATED:
        raise typer.BadParameter(f"no platform is called '{name}' here; there are: {', '.join(SIMULATED)}")
    trial = foresee(settings, simulated(name, os.environ))
    instances = {instance: _foreseen(ordered) for instance, ordered in trial.instances.items()}
    if as_json:
        told = {"simulated": name, "platform": facts.of_platform(trial.platform), "instances": instances}
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
        return
    tables.show_foreseen(name, facts.of_platform(trial.platform), instances)


def _foreseen(ordered: Sequence[Outlook]) -> dict[str, Any]:
    first = next((one.label for one in ordered if one.reason is None), None)
    return {"strategy": first, "strategies": [{"strategy": one.label, "reason": one.reason} for one in ordered]}


# ---- how things stand ----------------------------------------------------------------------------------------------


def _of_trial(trial: Trial, wall: float) -> dict[str, Any]:
    """In the form in which a running proxy tells."""
    instances = {}
    for name, ordered in trial.instances.items():
        taken = next((one for one in ordered if one.reason is None), None)
        instances[name] = {
            "state": "failed" if taken is None else "ready",
            "strategy": None if taken is None else taken.label,
            "source": None if taken is None else taken.source,
            "expires_in": None if taken is None or taken.expires_at is None else round(taken.expires_at - wall),
            "strategies": [_of_outlook(one, taken) for one in ordered],
        }
    return {"process": None, "platform": facts.of_platform(trial.platform), "instances": instances}


def _of_outlook(one: Outlook, taken: Outlook | None) -> dict[str, Any]:
    standing = "active" if one is taken else "standby" if one.reason is None else "not_used"
    reason = one.reason
    if standing == "standby" and taken is not None:
        reason = f"stands by, and has a credential: {taken.label} comes first"
    return {"strategy": one.label, "standing": standing, "reason": reason}


def _tell(told: Sequence[Mapping[str, Any]], as_json: bool) -> None:
    if as_json:
        # The first process stands for all where there is one, as nearly always.
        first = {name: told[0][name] for name in ("platform", "instances")}
        typer.echo(json.dumps({**first, "processes": list(told)}, indent=2, ensure_ascii=False))
    else:
        tables.show_standing(told)
