"""Runs `llmauth run` as a user does, beside a gateway that serves: its status, and all that it and its command said."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.fixtures.serving import Serving
from tests.fixtures.template import Forked, Template

LIMIT = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What came of a run."""

    status: int
    said: str


def surroundings(home: Path, folder: Path, **more: str) -> dict[str, str]:
    """A shell with nothing in it: the state folder of a gateway, and an empty home."""
    return {"PATH": os.environ["PATH"], "HOME": str(folder), "LLMAUTH_HOME": str(home), "TMPDIR": str(folder), **more}


def begun(environ: Mapping[str, str], folder: Path, *words: str) -> Forked:
    """`llmauth` with these words, begun; what it says is in `said` of the folder."""
    return Template.loaded().start(words, environ, folder / "said")


def run(gateway: Serving, folder: Path, *command: str, options: tuple[str, ...] = (), **more: str) -> Ran:
    """A command behind this gateway, to its end. `more` are variables of the user's."""
    environ = surroundings(gateway.home, folder, **more)
    process = begun(environ, folder, "run", *options, "--", *command)
    status = process.wait(LIMIT)
    return Ran(status=status, said=(folder / "said").read_text(encoding="utf-8", errors="replace"))
