"""How credentials stand, as people read it: tables, with colour on a terminal alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_STYLES = {"active": "green", "not_used": "yellow", "standby": "dim"}


def show_rehearsal(told: Mapping[str, Any]) -> None:
    """What came of an expiry that was rehearsed."""
    console, instance = Console(), told["instance"]
    console.print(_plain(f"{instance}: the credential of {told['before'] or 'nobody'} was taken to have ended."))
    if told["after"] is None:
        console.print("❌ No strategy gave another one. At a real expiry its requests would now be refused (500).")
        console.print("The old credential is still good, and in use again. `llmauth creds` tells each reason.")
        return
    ends = f", which ends in {_span(told['expires_in'])}" if told["expires_in"] is not None else ""
    console.print(_plain(f"✅ {told['after']} gave another one after {told['took']:.2f} s{ends}."))
    for one in told["standby"]:
        said = "would have given one" if one["reason"] is None else f"would not: {one['reason']}"
        console.print(_plain(f"   {one['strategy']} {said}"))


def show_foreseen(name: str, platform: Mapping[str, Any], instances: Mapping[str, Any]) -> None:
    """What would happen on a platform that is simulated."""
    console = Console()
    console.print(_headline(platform, f"Simulated: {name}. "), markup=False)
    table = _table("Instance", "Strategy", "There")
    for instance, foreseen in instances.items():
        for position, one in enumerate(foreseen["strategies"]):
            taken = one["strategy"] == foreseen["strategy"]
            style = "green" if taken else "yellow" if one["reason"] else "dim"
            said = "is asked first, and used if it answers" if taken else one["reason"] or "stands by"
            table.add_row(_plain("" if position else instance), _plain(one["strategy"]), _plain(said, style))
    console.print(table)


def show_standing(told: Sequence[Mapping[str, Any]]) -> None:
    """How the credentials of each process stand."""
    console = Console()
    for one in told:
        worker = f" (worker {one['worker']})" if "worker" in one else ""
        process = "" if one["process"] is None else f"Process {one['process']}{worker}. "
        console.print(_headline(one["platform"], process), markup=False)
        console.print(_standing(one["instances"]))


def _headline(platform: Mapping[str, Any], before: str) -> str:
    forced = " (forced by configuration)" if platform["forced"] else ""
    return f"{before}Platform: {platform['name']}{forced}. Features: {', '.join(platform['features']) or 'none'}"


def _standing(instances: Mapping[str, Any]) -> Table:
    table = _table("Instance", "Strategy", "State", "")
    for name, instance in instances.items():
        for position, one in enumerate(instance["strategies"]):
            state = one["standing"].replace("_", " ")
            said = _of_active(instance) if one["standing"] == "active" else one["reason"] or ""
            style = _STYLES[one["standing"]]
            table.add_row(_plain("" if position else name), _plain(one["strategy"]), _plain(state, style), _plain(said))
        mishap = instance.get("last_error")
        if mishap is not None:
            said = f"{mishap['strategy']}, {_span(mishap['ago'])} ago: {mishap['reason']}"
            table.add_row("", "", _plain("last error", "red"), _plain(said))
    return table


def _of_active(instance: Mapping[str, Any]) -> str:
    ends = "without an end" if instance["expires_in"] is None else f"ends in {_span(instance['expires_in'])}"
    parts = [ends, f"from {instance['source']}"]
    if instance.get("loaded_ago") is not None:
        parts.append(f"fetched {_span(instance['loaded_ago'])} ago")
    if instance.get("degraded"):
        parts.append("its renewal fails")
    return "; ".join(parts)


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _plain(text: str, style: str = "") -> Text:
    """Text that is no markup, and says nothing to the terminal: paths and profiles are named by whoever made them."""
    return Text("".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text), style)


def _span(seconds: int) -> str:
    """`59m 12s`, `3h 05m`, `12d 4h`."""
    if seconds < 3600:
        return f"{seconds // 60}m {seconds % 60:02d}s" if seconds >= 60 else f"{seconds}s"
    if seconds < 86_400:
        return f"{seconds // 3600}h {seconds % 3600 // 60:02d}m"
    return f"{seconds // 86_400}d {seconds % 86_400 // 3600}h"
