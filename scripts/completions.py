"""Writes llmauth/cli/words.py, what shells complete, from the commands; `--check` only says whether it is fresh."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import typer

from llmauth import cli

ROOT = Path(__file__).resolve().parents[1]
FILE = Path("llmauth") / "cli" / "words.py"

HEAD = '''\
"""The commands, and the options of each, for completion in shells. Written by `scripts/completions`: do not edit."""

# ruff: noqa: E501
from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Words(NamedTuple):
    """What may follow a command: commands below it, options without a value, and options with one."""

    below: str = ""
    flags: str = ""
    valued: str = ""


# fmt: off
WORDS: Mapping[str, Words] = {
'''


def text() -> str:
    """The whole file."""
    lines = (f"    {path!r}: Words({_line(*words)}),\n" for path, words in _every())
    return HEAD + "".join(lines).replace("'", '"') + "}\n"


def _line(below: list[str], flags: list[str], valued: list[str]) -> str:
    return ", ".join(repr(" ".join(words)) for words in (below, flags, valued)).replace("'", '"')


def _every() -> Iterator[tuple[str, tuple[list[str], list[str], list[str]]]]:
    yield "", (list(cli.COMMANDS), ["--help", "--version"], [])
    for name in cli.COMMANDS:
        command: Any = typer.main.get_command(import_module(f"llmauth.cli.{name}").app)
        below = getattr(command, "commands", {})
        yield name, (list(below), *_options(command))
        for each in below:
            yield f"{name} {each}", ([], *_options(below[each]))


def _options(command: Any) -> tuple[list[str], list[str]]:
    flags: list[str] = ["--help"]
    valued: list[str] = []
    for parameter in command.params:
        long = [one for one in (*parameter.opts, *parameter.secondary_opts) if one.startswith("--")]
        if not getattr(parameter, "hidden", False):
            (flags if getattr(parameter, "is_flag", False) else valued).extend(long)
    return sorted({*flags}), sorted({*valued})


def main() -> int:
    """Write the file, or with `--check` compare it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    wanted, path = text(), ROOT / FILE
    if not parser.parse_args().check:
        path.write_text(wanted, encoding="utf-8")
        return 0
    if path.exists() and path.read_text(encoding="utf-8") == wanted:
        return 0
    print(f"{FILE} is not what the commands are: run scripts/completions", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
