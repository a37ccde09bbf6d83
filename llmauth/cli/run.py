"""`llmauth run`: a command that goes through the proxy, with no other change; nothing of it is left afterwards."""

from __future__ import annotations

import json
import os
import shlex
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Annotated
from urllib.parse import quote

import typer

from llmauth.cli.finding import Found, Wish, found
from llmauth.cli.own import outside_proxy, shown
from llmauth.cli.proxy import ProxyFailed
from llmauth.cli.waiting import waiting
from llmauth.clients import exempt
from llmauth.clients.ambient import ambient_of
from llmauth.clients.child import NotStarted, end_as, run_in_foreground
from llmauth.clients.folders import private_folder
from llmauth.clients.trust import TrustFiles, write_trust
from llmauth.clients.variables import BYPASSES, environment
from llmauth.durations import parse_duration
from llmauth.secrets import MASK, Secret
from llmauth.storage.home import prepare, state_folder

PATIENCE = 1.0
_PROXIES = ("HTTPS_PROXY", "https_proxy")

app = typer.Typer(help="Run a command behind the proxy.", add_completion=False, pretty_exceptions_enable=False)


@app.command(context_settings={"allow_interspersed_args": False})
def run(
    command: Annotated[list[str] | None, typer.Argument(metavar="-- CMD…", help="The command, as you know it.")] = None,
    config: Annotated[
        list[Path] | None, typer.Option("--config", help="Of the proxy on this machine; repeatable.")
    ] = None,
    proxy: Annotated[str | None, typer.Option(metavar="URL", help="Another proxy. Or LLMAUTH_PROXY.")] = None,
    ca_file: Annotated[
        Path | None, typer.Option(help="What `llmauth ca export` prints there. Or LLMAUTH_CA_FILE.")
    ] = None,
    base_url: Annotated[
        bool, typer.Option("--base-url", help="Set base URLs as well, for what knows no proxy.")
    ] = False,
    life: Annotated[str, typer.Option("--for", metavar="24h", help="How long the session is good at most.")] = "24h",
    print_env: Annotated[bool, typer.Option("--print-env", help="Run nothing; show the variables.")] = False,
    reveal: Annotated[bool, typer.Option("--reveal", help="Show them with their secrets, and open a session.")] = False,
    shell: Annotated[bool, typer.Option("--shell", help='For a shell: eval "$(llmauth run --print-env …)".')] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Run a command so that all it calls goes through the proxy: its provider's keys stay at the proxy.

    The proxy is the one that is named, else the one that was joined, else the one that runs on this machine, else one
    that lives as long as the command.
    """
    if bool(command) == print_env:
        raise typer.BadParameter("give a command behind `--`, or --print-env")
    try:
        wish = Wish(url=proxy, ca_file=ca_file, configs=tuple(config or ()), seconds=parse_duration(life))
        if print_env:
            _print(wish, base_url=base_url, reveal=reveal, form="json" if as_json else "shell" if shell else "plain")
            return
        status = _run(command or [], wish, base_url=base_url)
    except ValueError as error:
        raise _failed(error, 2) from None
    except ProxyFailed as error:
        raise _failed(error, 1) from None
    except NotStarted as error:
        raise _failed(error, error.status) from None
    raise typer.Exit(end_as(status))


def _run(command: Sequence[str], wish: Wish, *, base_url: bool) -> int:
    """The command's exit status, once everything of this run is gone."""
    environ = dict(os.environ)
    with _ended_by_signals(), ExitStack() as ends:
        folder = ends.enter_context(private_folder())
        with waiting("Looking for the proxy, and starting one where there is none", PATIENCE):
            one = ends.enter_context(found(wish, environ, may_start=True))
        trust = write_trust(folder, one.authority_pem, environ, more=one.more)
        _tell(one, trust, environ)
        if one.own is not None:
            one.own.entrust(str(folder))
        program = Path(command[0]).name
        child = environment(
            one.proxy,
            one.credential,
            trust,
            environ,
            ambient=ambient_of(environ),
            program=program,
            base_urls=base_url,
        )
        _tell_of_what_stays(one, environ, child)
        return run_in_foreground(command, child)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Until the command runs, what ends programs does what Ctrl-C does: everything is taken back first."""

    def end(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _tell(one: Found, trust: TrustFiles, environ: Mapping[str, str]) -> None:
    """What a user should know: which proxy was started, and what of his own settings does not count for the command."""
    if one.own is not None:
        _say(f"started a proxy for this command alone: {one.proxy.url}")
    for name, provider in BYPASSES.items():
        if environ.get(name) and one.proxy.serves(provider) and not exempt.leads_to(environ[name], one.proxy):
            _say(f"{name} is not set for the command: it leads around the proxy")
    dropped = [entry for entry in exempt.entries(environ) if exempt.leads_around(entry, one.proxy)]
    if dropped:
        _say(f"NO_PROXY is without {', '.join(dict.fromkeys(dropped))} for the command: that leads around the proxy")
    _tell_of_proxy(one, environ)
    for path in trust.unread:
        _say(f"{path} holds no certificate that can be read: what needs it will not be able to connect")


def _tell_of_what_stays(one: Found, environ: Mapping[str, str], child: Mapping[str, str]) -> None:
    """An identity at AWS opens more than models, so it is not taken away; its user should know."""
    names = {*one.proxy.variables(), *(("AWS_SECRET_ACCESS_KEY",) if one.proxy.serves("bedrock") else ())}
    for name in sorted(name for name in names if environ.get(name) and child.get(name) == environ[name]):
        _say(f"{name} stays in the command's environment")


def _tell_of_proxy(one: Found, environ: Mapping[str, str]) -> None:
    mine = next((environ[name] for name in _PROXIES if environ.get(name)), "")
    if not mine or "llmauth_" in mine or shown(mine) == shown(one.proxy.url):
        return
    if one.own is not None and outside_proxy(environ) is not None:
        _say(f"your HTTPS_PROXY ({shown(mine)}) is what the proxy itself goes out by")
        return
    _say(f"your HTTPS_PROXY ({shown(mine)}) is replaced for the command; how the proxy goes out is `upstream.proxy`")


# ---- --print-env ---------------------------------------------------------------------------------------------------


def _print(wish: Wish, *, base_url: bool, reveal: bool, form: str) -> None:
    """The variables that a command would have and this shell has not. Their files are kept, in the state folder."""
    environ = dict(os.environ)
    # Without --reveal nothing is opened; with it the session is what was asked for, and ends when its time is over.
    with found(replace(wish, lends=reveal, kept=reveal), environ, may_start=False) as one:
        folder = prepare(prepare(state_folder(environ)) / "clients")
        trust = write_trust(folder, one.authority_pem, environ, more=one.more)
        child = environment(one.proxy, one.credential, trust, environ, ambient=ambient_of(environ), base_urls=base_url)
    changed = {name: value for name, value in child.items() if environ.get(name) != value}
    if not reveal:
        changed = {name: _masked(value, one.credential) for name, value in changed.items()}
    typer.echo(_written(changed, [name for name in environ if name not in child], form))
    if reveal and one.credential is not None:
        _say(f"the session is good for {wish.seconds / 3600:.0f} hours at most")
    elif one.credential is not None:
        _say("secrets are masked; --reveal opens a session and shows it")


def _masked(value: str, credential: Secret | None) -> str:
    for text in () if credential is None else (credential.reveal(), quote(credential.reveal(), safe="")):
        value = value.replace(text, MASK)
    return value


def _written(changed: Mapping[str, str], gone: Sequence[str], form: str) -> str:
    match form:
        case "json":
            return json.dumps({"set": dict(changed), "unset": list(gone)}, indent=2)
        case "shell":
            exports = [f"export {name}={shlex.quote(value)}" for name, value in changed.items()]
            return "\n".join((*exports, *(f"unset {name}" for name in gone)))
        case _:
            return "\n".join((*(f"{name}={value}" for name, value in changed.items()), *(f"-{name}" for name in gone)))


def _say(sentence: str) -> None:
    typer.echo(f"llmauth: {sentence}", err=True)


def _failed(error: Exception, code: int) -> typer.Exit:
    typer.echo(f"Error: {error}", err=True)
    return typer.Exit(code)
