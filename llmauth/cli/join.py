"""`llmauth join URL`: meet a proxy, confirm its certificate, log in, and remember it for the other commands."""

from __future__ import annotations

import getpass
import json
import os
import shlex
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from llmauth.cli import domains, login, token
from llmauth.cli.allowed import in_words, plain
from llmauth.cli.asking import confirmed, is_person
from llmauth.cli.device import LoginFailed
from llmauth.cli.meant import key_for
from llmauth.cli.places import short
from llmauth.cli.proxy import ProxyFailed, ProxyPlace, ask, place_of
from llmauth.cli.waiting import waiting
from llmauth.clients import joined
from llmauth.clients.introduction import Introduction, NotIntroduced, introduced, same
from llmauth.clients.joined import Joined
from llmauth.regular import read_regular
from llmauth.secrets import Secret
from llmauth.sources import SourceFailed

app = typer.Typer(help="Join a proxy that others run.", add_completion=False, pretty_exceptions_enable=False)

_SECOND_FACTOR = "second_factor_required"


@app.command()
def join(
    url: Annotated[str | None, typer.Argument(metavar="URL", help="The proxy.")] = None,
    fingerprint: Annotated[
        str | None, typer.Option(metavar="SHA256", help="Of its CA, as its operator gave it to you; for scripts.")
    ] = None,
    proxy_ca_file: Annotated[Path | None, typer.Option(help="The CA of the proxy's own certificate.")] = None,
    issuer: Annotated[str | None, typer.Option(metavar="URL", help="Log in at this OpenID provider.")] = None,
    client_id: Annotated[str | None, typer.Option(help="A public client there that may use the device flow.")] = None,
    aws: Annotated[bool, typer.Option("--aws", help="Log in with your credentials of AWS.")] = False,
    server_id: Annotated[str | None, typer.Option(help="With --aws: the proxy's `server_id`; else its host.")] = None,
    region: Annotated[str | None, typer.Option(help="With --aws: whose STS it is signed for.")] = None,
    profile: Annotated[str | None, typer.Option(help="With --aws: the profile.")] = None,
    no_save: Annotated[
        bool, typer.Option("--no-save", help="Remember nothing; print HTTPS_PROXY for a shell.")
    ] = False,
    forget: Annotated[
        bool, typer.Option("--forget", help="Forget the proxy that was joined, as `llmauth leave`.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Show a proxy's certificate, and once it is confirmed log in: by a key, at an OpenID provider, or by AWS."""
    if forget:
        from llmauth.cli.leave import leave

        leave()
        return
    if url is None:
        raise typer.BadParameter("say which proxy: https://HOST:PORT", param_hint="URL")
    try:
        place = place_of(url)
        _require_readable(proxy_ca_file)
        met = _met(place, proxy_ca_file, fingerprint)
        credential = _credential(place, (issuer, client_id), (server_id, region, profile) if aws else None)
        with _Believed(place, met, proxy_ca_file) as ca_file:
            session = _session(place, credential, ca_file)
            told = ask(place, "GET", "/auth/whoami", Secret(session["session_token"]), ca_file=ca_file)
    except ValueError as error:
        raise _failed(error, 2) from None
    except (NotIntroduced, LoginFailed, ProxyFailed, SourceFailed) as error:
        raise _failed(error, 1) from None
    kept = None if no_save else _kept(place, met, session, told, proxy_ca_file)
    _show(place, session, told, kept, as_json)


# ---- whom do we meet? ----------------------------------------------------------------------------------------------


def _require_readable(ca_file: Path | None) -> None:
    """OpenSSL would wait for the writer of a pipe."""
    try:
        if ca_file is not None:
            read_regular(ca_file)
    except OSError as error:
        raise ValueError(f"The CA file {ca_file} cannot be read: {error.strerror}.") from None


def _met(place: ProxyPlace, ca_file: Path | None, fingerprint: str | None) -> Introduction:
    """The proxy's introduction, confirmed; NotIntroduced where nobody confirms it."""
    with waiting(f"Asking {place.authority} for its certificate"):
        met = introduced(place.url, ca_file)
    if fingerprint is not None:
        if not same(met.fingerprint, fingerprint):
            raise NotIntroduced(
                f"{place.authority} shows the fingerprint {met.fingerprint}, which is not the one that you gave; "
                "nothing was sent. Ask whoever runs it."
            )
        return met
    _say(_described(place, met))
    if not is_person():
        raise NotIntroduced(
            "nobody is here to compare the fingerprint; nothing was sent. Give the one that its operator gave you: "
            "--fingerprint"
        )
    if not confirmed(f"Fingerprint {met.fingerprint}  matches?"):
        raise NotIntroduced("the fingerprint was not confirmed; nothing was sent")
    return met


def _described(place: ProxyPlace, met: Introduction) -> str:
    days = int((met.expires_at - time.time()) // 86_400)
    how = "checked by a public CA, or the one you gave" if met.verified else "checked by the CA below, once confirmed"
    if place.scheme == "http":
        how = "none: what is sent there can be read on the way"
    return f"Proxy {place.url}   TLS: {how}\nIts CA is valid {days} d, limited to: {domains.in_words(met.domains)}"


class _Believed:
    """The file of the CA by which the proxy's own TLS is checked, for as long as it is asked; None for public roots."""

    def __init__(self, place: ProxyPlace, met: Introduction, given: Path | None) -> None:
        self._met, self._given = met, given
        self._made: Path | None = None

    def __enter__(self) -> Path | None:
        if not self._met.by_itself:
            return self._given
        import tempfile

        descriptor, name = tempfile.mkstemp(suffix=".pem")
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(self._met.pem)
        self._made = Path(name)
        return self._made

    def __exit__(self, *_: object) -> None:
        if self._made is not None:
            self._made.unlink(missing_ok=True)


# ---- who are we? ---------------------------------------------------------------------------------------------------


def _credential(
    place: ProxyPlace,
    openid: tuple[str | None, str | None],
    aws: tuple[str | None, str | None, str | None] | None,
) -> Secret:
    if aws is not None:
        server_id, region, profile = aws
        return token.of_aws(server_id or place.authority.rpartition(":")[0] or place.authority, region, profile)
    if openid[0] is not None or openid[1] is not None:
        return login.token_of(*openid)
    return place.password or _key(place)


def _key(place: ProxyPlace) -> Secret:
    """LLMAUTH_KEY where it is meant for this proxy, what is typed, or the line on standard input."""
    given = key_for(place, os.environ)
    if given is not None:
        text = given.reveal()
    else:
        text = getpass.getpass("Key (hidden): ") if is_person() else sys.stdin.readline(4096)
    key = text.strip()
    if not key or not key.isascii() or not key.isprintable():
        raise ValueError("There is no key: set LLMAUTH_KEY, or give it on standard input.")
    return Secret(key)


def _session(place: ProxyPlace, credential: Secret, ca_file: Path | None) -> Mapping[str, Any]:
    try:
        with waiting("Logging in"):
            return login.session_of(place, credential, ca_file)
    except ProxyFailed as refusal:
        if refusal.code != _SECOND_FACTOR or not is_person():
            raise
    code = Secret(getpass.getpass("Code of the second factor: ").strip())
    return login.session_of(place, credential, ca_file, code)


# ---- what is kept, and shown ---------------------------------------------------------------------------------------


def _kept(
    place: ProxyPlace, met: Introduction, session: Mapping[str, Any], told: Mapping[str, Any], ca_file: Path | None
) -> Joined:
    ends = told.get("expires_at")
    return joined.write(
        Joined(
            url=place.url,
            ca_pem=met.pem,
            fingerprint=met.fingerprint,
            user=plain(told.get("user")),
            expires_at=float(ends) if isinstance(ends, int | float) and not isinstance(ends, bool) else None,
            tls_ca_file=ca_file.absolute() if ca_file is not None else None,
            tls_by_proxy=met.by_itself,
        ),
        Secret(session["session_token"]),
        os.environ,
    )


def _show(
    place: ProxyPlace, session: Mapping[str, Any], told: Mapping[str, Any], kept: Joined | None, as_json: bool
) -> None:
    where = None if kept is None else kept.kept
    if as_json:
        facts = {"proxy": place.url, **told, "fingerprint": kept.fingerprint if kept else None, "session": where}
        shown = {} if kept else {"session_token": session["session_token"]}
        typer.echo(json.dumps({**facts, **shown}, indent=2, ensure_ascii=False))
        return
    say = typer.echo if kept else _say
    say(sentence(session, told))
    if kept is None:
        # For a shell to read, as `llmauth login` has it.
        url = place.with_credential("session", Secret(session["session_token"]))
        typer.echo(f"export HTTPS_PROXY={shlex.quote(url)}\nexport LLMAUTH_KEY={session['session_token']}")
        return
    file = joined.folder(os.environ) / joined.SESSION_FILE
    kept_in = "the keyring" if where == "keyring" else f"{short(file)} (0600; no keyring here)"
    typer.echo(f"The session is kept in {kept_in}, and ended by: llmauth leave\nNext: llmauth run -- COMMAND")


def sentence(session: Mapping[str, Any], told: Mapping[str, Any]) -> str:
    """`Signed in as alice (LLM-Users). Session 12 h. Allowed: claude-*, budget 40/day`."""
    groups = told.get("groups")
    named = f" ({', '.join(map(plain, groups))})" if isinstance(groups, list) and groups else ""
    life = session.get("expires_in")
    until = f" Session {_length(life)}." if isinstance(life, int) and not isinstance(life, bool) else ""
    allowed = in_words(told.get("allowed"))
    return f"Signed in as {plain(told.get('user'))}{named}.{until}{f' Allowed: {allowed}' if allowed else ''}"


def _length(seconds: int) -> str:
    return f"{seconds // 3600} h" if seconds >= 3600 else f"{seconds // 60} min"


def _say(text: str) -> None:
    typer.echo(text, err=True)


def _failed(error: Exception, code: int) -> typer.Exit:
    _say(f"Error: {error}")
    return typer.Exit(code)
