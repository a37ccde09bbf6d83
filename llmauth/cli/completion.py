"""`llmauth completion SHELL`: the script by which bash, zsh or fish completes commands, options and names.

The script knows commands and options itself, so that a key press starts no program; only names that others chose, those
of instances and keys, are asked for, of `--names`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing, suppress
from typing import Annotated

import typer

from llmauth.cli.words import WORDS

app = typer.Typer(help="Print a shell's completion.", add_completion=False, pretty_exceptions_enable=False)

INSTANCES, KEYS = "instances", "keys"

# What stands in the place of a value: words, or `@` and the kind of names that are asked for.
_VALUES: Mapping[str, str] = {
    "init --profile": "laptop server pod",
    "init --providers": "openai anthropic bedrock azure vertex ibm oracle",
    "creds --drill": "expire",
    "creds --simulate": (
        "eks ecs lambda ec2 aks azure gke cloudrun gce oke oci iks codeengine kubernetes laptop generic"
    ),
    "audit export --instance": f"@{INSTANCES}",
}
_ARGUMENTS: Mapping[str, str] = {
    "completion": "bash zsh fish",
    "secret set": f"@{INSTANCES}",
    "secret remove": f"@{INSTANCES}",
    "keys revoke": f"@{KEYS}",
    "keys rotate": f"@{KEYS}",
    "keys enrol-totp": f"@{KEYS}",
}
# What a shell is given: no sign of these means anything to it.
_NAME = re.compile(r"[A-Za-z0-9_][\w.@:/-]{0,127}", re.ASCII)


@app.command()
def completion(
    shell: Annotated[str | None, typer.Argument(metavar="bash|zsh|fish", help="Whose script is printed.")] = None,
    names: Annotated[str | None, typer.Option(metavar="KIND", help=f"Print these names: {INSTANCES}, {KEYS}.")] = None,
) -> None:
    """Print the script of a shell. In its start file: eval "$(llmauth completion bash)"."""
    if names is not None:
        typer.echo("\n".join(_asked(names)))
    elif shell is not None and shell in _SCRIPTS:
        typer.echo(_SCRIPTS[shell](), nl=False)
    else:
        raise typer.BadParameter(f"there are scripts for {', '.join(_SCRIPTS)}", param_hint="bash|zsh|fish")


# ---- names ---------------------------------------------------------------------------------------------------------


def _asked(kind: str) -> Iterable[str]:
    """Names that a shell may be given: whatever else is in one, it is a word. Nothing where nothing can be told."""
    found: Iterable[str] = ()
    with suppress(Exception):  # a completion has no place for a sentence
        found = {INSTANCES: _instances, KEYS: _keys}.get(kind, lambda: ())()
    return sorted(name for name in found if _NAME.fullmatch(name))


def _instances() -> Iterable[str]:
    """By the files alone: to judge the whole configuration takes longer than a key press may."""
    from ruamel.yaml import YAML

    from llmauth.config.environment import files

    names: set[str] = set()
    for path in files([], os.environ):
        told = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
        entries = told.get("instances") if isinstance(told, dict) else None
        names |= set(map(str, entries)) if isinstance(entries, dict) else set()
    return names


def _keys() -> Iterable[str]:
    """Of the database in the state folder; one that is kept elsewhere is not asked."""
    import sqlite3

    from llmauth.storage.home import state_folder

    file = state_folder(os.environ) / "keys.db"
    where = "kind != 'session' AND revoked IS NULL"
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=0.1)) as database:
        return [str(row[0]) for row in database.execute(f"SELECT name FROM keys WHERE {where} LIMIT 500")]


# ---- scripts -------------------------------------------------------------------------------------------------------


def _cases(line: Callable[[str, str], str], table: Mapping[str, str]) -> str:
    return "\n".join(line(key, value) for key, value in table.items() if value)


def _table() -> str:
    """The cases that bash and zsh share: what follows a command, its values and its arguments."""
    rows = [
        f'    "{path}") below="{one.below}"; flags="{one.flags}"; valued="{one.valued}" ;;'
        for path, one in WORDS.items()
    ]
    return "\n".join(rows)


def _shared() -> str:
    return _SHARED.format(
        table=_table(),
        values=_cases(lambda key, value: f'        "{key}") found="{value}" ;;', _VALUES),
        arguments=_cases(lambda key, value: f'        "{key}") found="{value}" ;;', _ARGUMENTS),
    )


def _bash() -> str:
    return _shared() + _BASH


def _zsh() -> str:
    return "#compdef llmauth\n" + _shared() + _ZSH


def _fish() -> str:
    lines = ["complete -c llmauth -e", "complete -c llmauth -f"]
    for path, one in WORDS.items():
        condition = _in_fish(path)
        if one.below:
            lines.append(f"complete -c llmauth -n '{condition}' -a '{one.below}'")
        lines += [f"complete -c llmauth -n '{condition}' -l {flag[2:]}" for flag in one.flags.split()]
        for option in one.valued.split():
            lines.append(f"complete -c llmauth -n '{condition}' -l {option[2:]} {_value_in_fish(f'{path} {option}')}")
    lines += [
        f"complete -c llmauth -n '{_in_fish(path)}' -a '{_words_in_fish(kind)}'" for path, kind in _ARGUMENTS.items()
    ]
    lines.append("complete -c llmauth -n '__fish_seen_subcommand_from run' -F")
    return "\n".join(lines) + "\n"


def _in_fish(path: str) -> str:
    if not path:
        return "__fish_use_subcommand"
    first, _, second = path.partition(" ")
    below = WORDS[first].below
    seen = f"__fish_seen_subcommand_from {first}"
    if second:
        return f"{seen}; and __fish_seen_subcommand_from {second}"
    return f"{seen}; and not __fish_seen_subcommand_from {below}" if below else seen


def _value_in_fish(key: str) -> str:
    return f"-x -a '{_words_in_fish(_VALUES[key])}'" if key in _VALUES else "-r -F"


def _words_in_fish(kind: str) -> str:
    return f"(llmauth completion --names {kind[1:]} 2>/dev/null)" if kind.startswith("@") else kind


# `where` and not `path`, which is a part of PATH in zsh.
_SHARED = """\
# What may follow these words, one a line; 1 for a file, 2 for a program.
_llmauth_words() {{
    local word="" where="" before="" below="" flags="" valued="" found="" skip=""
    _llmauth_table ""
    for word in "$@"; do
        if [[ "$where $before" == "run --" ]]; then return 1; fi
        if [[ -n "$skip" ]]; then skip=""; before=""; continue; fi
        before="$word"
        if [[ " $valued " == *" $word "* ]]; then skip=1; continue; fi
        if [[ "$word" != -* && " $below " == *" $word "* ]]; then
            where="${{where:+$where }}$word"
            _llmauth_table "$where"
        fi
    done
    if [[ "$where $before" == "run --" ]]; then return 2; fi
    if [[ -n "$skip" ]]; then
        case "$where $before" in
{values}
        *) return 1 ;;
        esac
    else
        case "$where" in
{arguments}
        esac
        found="$below $found $flags $valued"
    fi
    for word in $found; do
        if [[ "$word" == @* ]]; then
            command llmauth completion --names "${{word#@}}" 2>/dev/null
        else
            printf '%s\\n' "$word"
        fi
    done
}}
_llmauth_table() {{
    case "$1" in
{table}
    *) below=""; flags=""; valued="" ;;
    esac
}}
"""
_BASH = """\
_llmauth() {
    local words="" status=0 current="${COMP_WORDS[COMP_CWORD]}"
    COMPREPLY=()
    words="$(IFS=$' \\t\\n'; _llmauth_words "${COMP_WORDS[@]:1:COMP_CWORD-1}")" || status=$?
    local IFS=$'\\n'
    case $status in
    0) COMPREPLY=($(compgen -W "$words" -- "$current")) ;;
    2) COMPREPLY=($(compgen -c -- "$current")) ;;
    esac
}
complete -o default -F _llmauth llmauth
"""
_ZSH = """\
_llmauth() {
    setopt localoptions shwordsplit
    local told="" state=0
    told="$(_llmauth_words "${(@)words[2,CURRENT-1]}")" || state=$?
    case $state in
    0) compadd -- ${(f)told} ;;
    2) _command_names -e ;;
    *) _files ;;
    esac
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
compdef _llmauth llmauth
"""
_SCRIPTS: Mapping[str, Callable[[], str]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}
