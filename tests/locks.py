"""Reads what scripts/install installs: the lock files, and the choices that they were made from."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCKS = ("requirements", "requirements-build", "requirements-clients", "requirements-dev", "requirements-security")


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """One entry of a lock: a package may have two, for different Pythons. `wanted_by` are packages, or input files."""

    name: str
    version: str
    marker: str
    hashes: list[str] = field(default_factory=list)
    wanted_by: list[str] = field(default_factory=list)


def normal(name: str) -> str:
    """The one spelling of a package's name under which an index knows all the others."""
    return re.sub(r"[-_.]+", "-", name).lower()


def parse(lines: Iterable[str]) -> list[Locked]:
    """Every line has to be understood, so that no option and no address can hide among the entries."""
    found: list[Locked] = []
    for line in lines:
        if entry := re.fullmatch(r"([A-Za-z0-9._-]+)(?:\[[a-z,]+\])?==([^ ;]+)(?: ; ([^\\]+))? \\", line):
            found.append(Locked(name=normal(entry[1]), version=entry[2], marker=(entry[3] or "").strip()))
        elif digest := re.fullmatch(r"    --hash=sha256:([0-9a-f]{64})(?: \\)?", line):
            found[-1].hashes.append(digest[1])
        elif who := re.fullmatch(r"    #(?: via| {2}) ((?:-[rc] )?[\w.-]+)", line):
            found[-1].wanted_by.append(who[1] if who[1].startswith("-") else normal(who[1]))
        elif not re.fullmatch(r"    # via|# .*|#    scripts/lock", line):
            raise ValueError(f"no part of a lock: {line!r}")
    return found


@cache
def lock(name: str) -> tuple[Locked, ...]:
    return tuple(parse((ROOT / f"{name}.txt").read_text().splitlines()))


def choices(name: str) -> list[str]:
    """The lines of an input file, without the reasons and the options."""
    lines = (line.partition("#")[0].strip() for line in (ROOT / f"{name}.in").read_text().splitlines())
    return [line for line in lines if line and not line.startswith("-")]


def brought_by(package: str, entries: Iterable[Locked]) -> set[str]:
    """The package and all that it brings along, directly or not."""
    entries, brought, before = list(entries), {package}, 0
    while len(brought) > before:
        before = len(brought)
        brought |= {entry.name for entry in entries if brought.intersection(entry.wanted_by)}
    return brought
