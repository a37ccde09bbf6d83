"""`llmauth login`: a person logs in at the company's OpenID provider, and gets a session at the proxy."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from llmauth.authenticators.oidc import OidcOptions
from llmauth.authenticators.oidc.options import checked_url
from llmauth.authenticators.oidc.provider import way_to
from llmauth.cli.device import Begun, DeviceFlow, LoginFailed
from llmauth.cli.proxy import SERVICE, ProxyFailed, ProxyPlace, ask, place_of
from llmauth.config.settings import read_settings
from llmauth.outbound import Outbound
from llmauth.secrets import Secret
from llmauth.sources import SourceFailed

app = typer.Typer(help="Log in at an OpenID provider.", add_completion=False, pretty_exceptions_enable=False)

_LABEL = re.compile(r"[\w.-]{1,64}", re.ASCII)


@app.command()
def login(
    proxy: Annotated[str, typer.Option(metavar="URL", help="The proxy.")] = "http://127.0.0.1:8080",
    issuer: Annotated[
        str | None, typer.Option(metavar="URL", help="The OpenID provider, as its tokens name it.")
    ] = None,
    client_id: Annotated[str | None, typer.Option(help="A public client there that may use the device flow.")] = None,
    config: Annotated[
        list[Path] | None,
        typer.Option("--config", help="Where issuer and client are taken from: a configuration of the proxy."),
    ] = None,
    scope: Annotated[str, typer.Option(help="What is asked for.")] = "openid",
    resource: Annotated[str | None, typer.Option(metavar="URI", help="Whom the token shall be for (RFC 8707).")] = None,
    ca_file: Annotated[Path | None, typer.Option(help="The CA of the provider, where it has its own.")] = None,
    proxy_ca_file: Annotated[Path | None, typer.Option(help="The CA of the proxy's certificate.")] = None,
    save: Annotated[bool, typer.Option("--save", help="Keep the session in the keyring, for whoami.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Log in in a browser, and print what HTTPS_PROXY has to be: eval "$(llmauth login)"."""
    try:
        place = place_of(proxy)
        options = _provider(issuer, client_id, config, ca_file)
        session = session_of(place, _token(*options, scope, resource), proxy_ca_file)
        if save:
            _save(place, session)
    except ValueError as error:
        raise _failed(error, 2) from None
    except (LoginFailed, ProxyFailed, SourceFailed) as error:
        raise _failed(error, 1) from None
    _show(place, session, as_json)


def _provider(
    issuer: str | None, client_id: str | None, config: list[Path] | None, ca_file: Path | None
) -> tuple[str, str, Path | None]:
    """Issuer, client and CA: those of the command line, else of the configuration. ValueError where one is missing."""
    if issuer is not None and client_id is not None:
        return checked_url(issuer), client_id, ca_file
    known = [one for one in read_settings(config or [], os.environ).auth.methods if isinstance(one, OidcOptions)]
    named = [one for one in known if issuer in (None, one.issuer)]
    if issuer is None and len(named) != 1:
        raise ValueError(f"Of {len(named)} issuers in the configuration one must be meant; name it with --issuer.")
    clients = named[0].client_ids if named else ()
    if client_id is None and len(clients) != 1:
        raise ValueError("Name the client that is registered for this login with --client-id.")
    found = named[0].issuer if named else checked_url(issuer or "")
    return found, client_id or clients[0], ca_file or (named[0].ca_file if named else None)


def _token(issuer: str, client_id: str, ca_file: Path | None, scope: str, resource: str | None) -> Secret:
    flow = DeviceFlow(issuer, client_id, way_to(issuer, Outbound(), ca_file))
    begun = flow.begin(scope, resource)
    _invite(begun)
    return flow.finish(begun)


def _invite(begun: Begun) -> None:
    _say(f"Open {begun.uri} and enter the code {begun.user_code}")
    if sys.stderr.isatty():
        import segno  # takes time to import, and only people look at it

        segno.make(begun.complete_uri or begun.uri, micro=False).terminal(out=sys.stderr, compact=True)
    _say("Waiting for you to agree there …")


def token_of(issuer: str | None, client_id: str | None) -> Secret:
    """A token of this provider, after a person agreed in a browser. ValueError, LoginFailed, SourceFailed."""
    return _token(*_provider(issuer, client_id, None, None), "openid", None)


def session_of(
    place: ProxyPlace, credential: Secret, ca_file: Path | None, code: Secret | None = None
) -> Mapping[str, Any]:
    """What a proxy gives for a credential and the code of its second factor: `session_token`, `expires_in`, `user`.

    ProxyFailed where it gives none.
    """
    told = ask(place, "POST", "/auth/login", credential, ca_file=ca_file, code=code)
    session = told.get("session_token")
    # It is printed for a shell to read.
    if not isinstance(session, str) or not re.fullmatch(r"[\w.~-]{1,4096}", session, re.ASCII):
        raise ProxyFailed("the proxy answered without a session")
    return told


def _save(place: ProxyPlace, session: Mapping[str, Any]) -> None:
    import keyring

    try:
        keyring.set_password(SERVICE, f"session@{place.authority}", session["session_token"])
    except Exception as error:  # of whatever store this machine has; its text may quote the entry
        raise ProxyFailed(f"the keyring refused the session: {type(error).__name__}") from None
    _say(f"Saved in the keyring as {SERVICE}/session@{place.authority}")


def _show(place: ProxyPlace, session: Mapping[str, Any], as_json: bool) -> None:
    user, token = session.get("user"), Secret(session["session_token"])
    label = user if isinstance(user, str) and _LABEL.fullmatch(user) else "session"
    url = place.with_credential(label, token)
    if as_json:
        facts = {"session_token": token.reveal(), "expires_in": session.get("expires_in"), "https_proxy": url}
        typer.echo(json.dumps(facts, ensure_ascii=False))
        return
    typer.echo(f"export HTTPS_PROXY={shlex.quote(url)}\nexport LLMAUTH_KEY={token.reveal()}")
    life = session.get("expires_in")
    until = f" for {life // 60} minutes" if isinstance(life, int) and not isinstance(life, bool) else ""
    _say(f"Logged in{'' if label == 'session' else f' as {label}'}{until}.")


def _say(sentence: str) -> None:
    typer.echo(sentence, err=True)


def _failed(error: Exception, code: int) -> typer.Exit:
    _say(f"Error: {error}")
    return typer.Exit(code)
