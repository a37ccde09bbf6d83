"""`llmauth whoami`: whom a proxy takes one for, by which method, and until when."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from llmauth.cli.allowed import in_words
from llmauth.cli.allowed import plain as _plain
from llmauth.cli.meant import sound_key_for
from llmauth.cli.proxy import SERVICE, ProxyFailed, ProxyPlace, ask, place_of
from llmauth.clients import joined
from llmauth.clients.joined import Joined
from llmauth.credentials.entries import KeyringRefused
from llmauth.secrets import Secret

app = typer.Typer(help="Show whom the proxy takes you for.", add_completion=False, pretty_exceptions_enable=False)

_VARIABLES = ("HTTPS_PROXY", "https_proxy")
_USUAL = "http://127.0.0.1:8080"


@app.command()
def whoami(
    proxy: Annotated[
        str | None,
        typer.Option(metavar="URL", help="The proxy; else HTTPS_PROXY, the one joined, or this machine's own."),
    ] = None,
    proxy_ca_file: Annotated[Path | None, typer.Option(help="The CA of the proxy's certificate.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Ask the proxy who you are. The credential is LLMAUTH_KEY, else the password in the proxy's URL."""
    try:
        known = joined.read(os.environ)
        set_ = next((os.environ[name] for name in _VARIABLES if os.environ.get(name)), None)
        place = place_of(proxy or set_ or (known.url if known is not None else _USUAL))
        known = known if known is not None and known.url == place.url else None
        trusted = proxy_ca_file or (joined.trusted(known, os.environ) if known is not None else None)
        told = ask(place, "GET", "/auth/whoami", _credential(place, known), ca_file=trusted)
    except (ValueError, ProxyFailed, KeyringRefused) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(2 if isinstance(error, ValueError) else 1) from None
    typer.echo(json.dumps(told, indent=2, ensure_ascii=False) if as_json else _sentence(told))


def _credential(place: ProxyPlace, known: Joined | None) -> Secret:
    """ValueError where there is none."""
    found = sound_key_for(place, os.environ) or place.password
    found = found or (joined.session(known, os.environ) if known is not None else _saved(place))
    if found is None:
        raise ValueError("There is no credential: set LLMAUTH_KEY, or run: llmauth join, or llmauth login")
    return found


def _saved(place: ProxyPlace) -> Secret | None:
    """What `llmauth login --save` kept. A machine without a keyring has kept nothing."""
    import keyring

    try:
        found = keyring.get_password(SERVICE, f"session@{place.authority}")
    except Exception:
        return None
    return Secret(found) if found else None


def _sentence(told: Mapping[str, Any]) -> str:
    groups = told.get("groups")
    lines = [f"{_plain(told.get('user'))}, by {_plain(told.get('method'))}"]
    if isinstance(groups, list) and groups:
        lines.append(f"groups: {', '.join(map(_plain, groups))}")
    ends = told.get("expires_at")
    if isinstance(ends, int | float) and not isinstance(ends, bool):
        lines.append(f"ends in {max(0, round((ends - time.time()) / 60))} min")
    if told.get("second_factor") is True:
        lines.append("with a second factor")
    if allowed := in_words(told.get("allowed")):
        lines.append(f"allowed: {allowed}")
    return "\n".join(lines)
