"""`llmauth keys`: issues, lists, revokes and rotates the keys by which clients prove who they are."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Annotated, Protocol, runtime_checkable

import typer
from rich.console import Console

from llmauth.cli.key_records import Done, recorded
from llmauth.cli.key_tables import facts, iso, table
from llmauth.clock import SystemClock
from llmauth.durations import parse_duration
from llmauth.rules import Rules
from llmauth.secrets import Secret
from llmauth.storage.factors import Enrolment
from llmauth.storage.home import StateError, state_folder
from llmauth.storage.keys import KeyStore
from llmauth.storage.records import KeyRecord
from llmauth.storage.registry import KeyRegistry

_WIDE = 250
# What holds when a change was made and cannot be recorded.
_UNTOLD = "The key '{name}' was made, but is not shown, since that cannot be recorded; later `keys rotate` it."
_UNSHOWN = "The second factor of '{name}' is a new one, but not shown, since that cannot be recorded; enrol it again."
_ENDED = "The key '{name}' was revoked, but that cannot be recorded."

app = typer.Typer(
    name="keys",
    help="Issue, list, revoke and rotate the keys of your callers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@runtime_checkable
class ChoosesStorage(Protocol):
    """What the context object of the root command may offer; without it keys are in the state folder."""

    def key_store(self, configs: list[Path]) -> KeyRegistry:
        """The store of keys, by these configuration files (empty: the default ones)."""
        ...

    def audit_home(self, configs: list[Path]) -> Path | None:
        """The state folder in whose audit record changes are told; None where there is none."""
        ...


Configs = Annotated[
    list[Path] | None,
    typer.Option("--config", envvar="LLMAUTH_CONFIG", exists=True, dir_okay=False, help="Configuration; repeatable."),
]
NameOrId = Annotated[str, typer.Argument(metavar="NAME_OR_ID", help="The name of a key, or its id.")]
AsJson = Annotated[bool, typer.Option("--json", help="For scripts.")]


@app.command()
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name that no other living key has.")],
    user: Annotated[str | None, typer.Option(help="Whose key it is; NAME unless given.")] = None,
    group: Annotated[list[str] | None, typer.Option(help="A group of the user; repeatable.")] = None,
    models: Annotated[str | None, typer.Option(metavar="GLOBS", help="Models it may use: 'claude-*,gpt-5*'.")] = None,
    rpm: Annotated[int | None, typer.Option(min=1, help="Requests a minute.")] = None,
    tpm: Annotated[int | None, typer.Option(min=1, help="Tokens a minute.")] = None,
    concurrent: Annotated[int | None, typer.Option(min=1, help="Requests at the same time.")] = None,
    expires: Annotated[str | None, typer.Option(metavar="90d", help="2s, 90m, 12h, 90d; never unless given.")] = None,
    require_totp: Annotated[bool, typer.Option("--require-totp", help="Of no use before `enrol-totp`.")] = False,
    aws: Annotated[bool, typer.Option("--aws", help="An access-key pair, by which AWS SDKs sign.")] = False,
    as_json: AsJson = False,
    config: Configs = None,
) -> None:
    """Make a key and print it, this once, alone on standard output: KEY=$(llmauth keys create ci)."""
    with _store(ctx, config) as store, _recorded(ctx, config, "key.create", name, _UNTOLD) as done:
        rules = Rules(models=_globs(models), rpm=rpm, tpm=tpm, concurrent=concurrent)
        if aws:
            pair = store.create_pair(name, user, group or (), _moment(expires), rules=rules, require_totp=require_totp)
            record, secret = pair[0], pair[2]
        else:
            record, secret = store.create(
                name, user, group or (), _moment(expires), rules=rules, require_totp=require_totp
            )
        done(record)
        _show_once(record, secret, as_json)
    if require_totp:
        _say(f"It is refused until it has a second factor: llmauth keys enrol-totp {record.name}")


@app.command("list")
def list_(
    ctx: typer.Context,
    as_json: AsJson = False,
    every: Annotated[bool, typer.Option("--all", help="Revoked keys too.")] = False,
    sessions: Annotated[bool, typer.Option("--sessions", help="What was opened with them, too.")] = False,
    config: Configs = None,
) -> None:
    """Show the keys: whose they are, what they may do, until when, when last used."""
    with _store(ctx, config) as store:
        records = [one for one in store.list(with_sessions=sessions) if every or _is_shown(one)]
    now = SystemClock().wall()
    if as_json:
        typer.echo(json.dumps([facts(record, now) for record in records], indent=2, ensure_ascii=False))
    elif records:
        # A pipe has no width: there each key keeps its line.
        Console(width=None if sys.stdout.isatty() else _WIDE).print(table(records, now))
    else:
        _say("No keys yet. Make the first: llmauth keys create NAME")


@app.command()
def revoke(ctx: typer.Context, name_or_id: NameOrId, as_json: AsJson = False, config: Configs = None) -> None:
    """End a key for good, and its sessions; running servers refuse it within a second."""
    with _store(ctx, config) as store, _recorded(ctx, config, "key.revoke", name_or_id, _ENDED) as done:
        record = store.revoke(name_or_id)
        done(record)
    if as_json:
        typer.echo(json.dumps(facts(record, SystemClock().wall()), ensure_ascii=False))
    _say(f"Revoked '{record.name}' (id {record.id}).")


@app.command()
def rotate(ctx: typer.Context, name_or_id: NameOrId, as_json: AsJson = False, config: Configs = None) -> None:
    """Replace a key by a new one of the same name, and print it this once. The old one ends at once."""
    with _store(ctx, config) as store, _recorded(ctx, config, "key.rotate", name_or_id, _UNTOLD) as done:
        record, secret = store.rotate(name_or_id)
        done(record)
        _show_once(record, secret, as_json)


@app.command("enrol-totp")
def enrol_totp(ctx: typer.Context, name_or_id: NameOrId, as_json: AsJson = False, config: Configs = None) -> None:
    """Give a key a second factor, for an authenticator app, and ten backup codes; what it had before ends."""
    with _store(ctx, config) as store, _recorded(ctx, config, "key.enrol_totp", name_or_id, _UNSHOWN) as done:
        enrolment = store.enrol(name_or_id)
        done(enrolment.record)
    if as_json:
        typer.echo(json.dumps(_shown(enrolment)))
        return
    _show_enrolment(enrolment)
    _say(f"The second factor of '{enrolment.record.name}' is shown this once. Each code is good once.")


@contextmanager
def _store(ctx: typer.Context, configs: list[Path] | None) -> Iterator[KeyRegistry]:
    """The store, closed afterwards; what goes wrong is one sentence on standard error and an exit code."""
    try:
        store = _opened(ctx, configs or [])
        try:
            yield store
        finally:
            store.close()
    except ValueError as error:
        raise _failed(error, 2) from None
    except StateError as error:
        raise _failed(error, 1) from None


def _opened(ctx: typer.Context, configs: list[Path]) -> KeyRegistry:
    root = ctx.find_root().obj
    if isinstance(root, ChoosesStorage):
        return root.key_store(configs)
    return KeyStore(state_folder(os.environ) / "keys.db")


def _recorded(
    ctx: typer.Context, configs: list[Path] | None, action: str, name: str, otherwise: str
) -> AbstractContextManager[Done]:
    root = ctx.find_root().obj
    home = root.audit_home(configs or []) if isinstance(root, ChoosesStorage) else state_folder(os.environ)
    return recorded(home, action, name, otherwise)


def _failed(error: Exception, code: int) -> typer.Exit:
    _say(f"Error: {error}")
    return typer.Exit(code)


def _is_shown(record: KeyRecord) -> bool:
    """Expired keys are, since their names are taken; sessions are over when they are over."""
    return record.revoked is None and not (record.kind == "session" and record.ended(SystemClock().wall()))


def _globs(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    globs = tuple(glob.strip() for glob in text.split(","))
    if not all(globs):
        raise ValueError("--models has an empty entry; write globs with commas between them: 'claude-*,gpt-5*'.")
    return globs


def _moment(expires: str | None) -> float | None:
    if expires is None:
        return None
    seconds = parse_duration(expires)
    if seconds == 0:
        raise ValueError("A key that expires at once is of no use; --expires must be at least 1s.")
    return SystemClock().wall() + seconds


def _show_once(record: KeyRecord, secret: Secret, as_json: bool) -> None:
    """The key on standard output and nothing else there, so that a shell can take it."""
    told = {"key": secret.reveal()}
    if record.kind == "aws":
        told = {"access_key_id": record.id, "secret_access_key": secret.reveal()}
    if as_json:
        typer.echo(json.dumps(facts(record, SystemClock().wall()) | told, ensure_ascii=False))
    elif record.kind == "aws":
        typer.echo("\n".join(f"AWS_{name.upper()}={value}" for name, value in told.items()))
    else:
        typer.echo(secret.reveal())
    until = "" if record.expires is None else f", until {iso(record.expires)}"
    what = {"key": "Key", "session": "Session", "aws": "Access-key pair"}[record.kind]
    _say(
        f"{what} '{record.name}' (id {record.id}) of user '{record.user}'{until}. It is shown this once: keep it safe."
    )


def _shown(enrolment: Enrolment) -> dict[str, object]:
    return {
        "secret": enrolment.secret.reveal(),
        "provisioning_uri": enrolment.provisioning_uri.reveal(),
        "backup_codes": [code.reveal() for code in enrolment.backup_codes],
    }


def _show_enrolment(enrolment: Enrolment) -> None:
    uri = enrolment.provisioning_uri.reveal()
    if sys.stdout.isatty():
        import segno

        segno.make(uri).terminal(out=sys.stdout, compact=True)
    typer.echo(f"For an authenticator app: {uri}")
    typer.echo(f"Or type the secret:       {enrolment.secret.reveal()}")
    typer.echo("Backup codes, for the day without it:")
    for code in enrolment.backup_codes:
        typer.echo(f"  {code.reveal()}")


def _say(sentence: str) -> None:
    typer.echo(sentence, err=True)
