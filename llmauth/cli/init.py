"""`llmauth init`: a configuration, the state folder and the certificate authority, and what to do next."""

from __future__ import annotations

import json
import math
import os
import shlex
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from llmauth import providers
from llmauth.ca import CERTIFICATE_FILE, KEY_FILE, Authority
from llmauth.cli.domains import in_words
from llmauth.cli.places import short
from llmauth.cli.waiting import waiting
from llmauth.config.environment import default_file
from llmauth.config.problems import ConfigError
from llmauth.config.settings import Settings, read_settings
from llmauth.context import ProviderType
from llmauth.credentials.entries import KeyringRefused, recorded, store_name
from llmauth.gateway import authority
from llmauth.installation.found import Found, look
from llmauth.installation.profiles import (
    NAME,
    NAMESPACE,
    OFFERED,
    PRICES,
    PROFILES,
    USUAL,
    Choices,
    instance_name,
    price_table,
    text,
)
from llmauth.installation.written import AlreadyThere, draft, remember, settle
from llmauth.storage.home import StateUnusable, prepare, state_folder

app = typer.Typer(
    help="Write a configuration, and make what belongs to it.", add_completion=False, pretty_exceptions_enable=False
)


@app.command()
def init(
    profile: Annotated[str, typer.Option(help=f"How it is run: {', '.join(PROFILES)}.")] = "laptop",
    chosen: Annotated[
        str | None,
        typer.Option("--providers", metavar="LIST", help=f"Of {', '.join(OFFERED)}; with commas between them."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="Where to; else where `serve` looks for it.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="The address that it listens on.")] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Its plain port.")] = 8080,
    tls_cert: Annotated[Path | None, typer.Option(help="The certificate of its TLS port, with its chain.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="That certificate's key.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Write a commented configuration, make the state folder and the certificate authority, and say what comes next."""
    path = _path(config)
    seen = look(os.environ, recorded(state_folder(os.environ)))
    choices = _choices(profile, chosen, host, port, (tls_cert, tls_key), seen)
    try:
        settings = _write(path, choices, force=force)
    except AlreadyThere as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from None
    there = (settings.ca.folder / KEY_FILE).exists()
    ca = _authority(choices, settings)
    made = _Made(path=path, choices=choices, settings=settings, authority=ca, is_new=not there)
    remember(settings.home, path)
    if settings.prices_file is not None:
        remember(settings.home, settings.prices_file)
    if as_json:
        typer.echo(json.dumps(made.facts(), indent=2, ensure_ascii=False))
    else:
        made.show()


def _path(config: Path | None) -> Path:
    path = config or default_file(os.environ)
    if path is None:
        raise StateUnusable("This user has no home folder. Say where with --config FILE.")
    return path.expanduser().absolute()


def _choices(
    profile: str,
    chosen: str | None,
    host: str | None,
    port: int,
    tls: tuple[Path | None, Path | None],
    seen: Found,
) -> Choices:
    named = next((one for one in PROFILES if one == profile), None)
    if named is None:
        raise typer.BadParameter(f"'{profile}' is none; there are {', '.join(PROFILES)}", param_hint="--profile")
    return Choices(
        profile=named,
        providers=_providers(chosen, seen),
        host=host or ("0.0.0.0" if named == "pod" else "127.0.0.1"),
        port=port,
        tls=_tls(tls),
        found=seen,
    )


def _providers(chosen: str | None, seen: Found) -> tuple[ProviderType, ...]:
    """Those that were chosen; else the usual three, and whichever else has left something on this machine."""
    if chosen is None:
        return tuple(one for one in OFFERED if one in USUAL or seen.has(one))
    wanted = [providers.ALIASES.get(name, name) for name in chosen.replace(",", " ").split()]
    unknown = [name for name in wanted if name not in OFFERED]
    if unknown or not wanted:
        what = f"'{unknown[0]}' is none" if unknown else "none is named"
        raise typer.BadParameter(f"{what}; there are {', '.join(OFFERED)}", param_hint="--providers")
    return tuple(one for one in OFFERED if one in wanted)


def _tls(files: tuple[Path | None, Path | None]) -> tuple[str, str] | None:
    certificate, key = files
    if (certificate is None) != (key is None):
        raise typer.BadParameter("--tls-cert and --tls-key are given together", param_hint="--tls-cert")
    if certificate is not None and key is not None:
        return str(certificate.expanduser().absolute()), str(key.expanduser().absolute())
    return None


def _write(path: Path, choices: Choices, *, force: bool) -> Settings:
    """Nothing is put in its place that `serve` would refuse; ConfigError says why."""
    with _prices(path.with_name(PRICES), choices), draft(path, text(choices)) as new:
        try:
            read_settings([new], os.environ)
        except ConfigError as error:
            told = str(error).replace(str(new), "what would be written")
            raise typer.BadParameter(f"these do not fit together:\n{told}", param_hint="the options") from None
        settle(new, path, force=force)
    settings = read_settings([path], os.environ)
    prepare(settings.home)
    return settings


@contextmanager
def _prices(path: Path, choices: Choices) -> Iterator[None]:
    """The table that a laptop's configuration names; taken away again where that one is not written.

    One that is there already is somebody's own, and stays.
    """
    if choices.profile != "laptop" or path.exists():
        yield
        return
    with draft(path, price_table()) as new:
        settle(new, path, force=False)
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _authority(choices: Choices, settings: Settings) -> Authority | None:
    """None in a pod, which is given one."""
    if choices.profile == "pod":
        return None
    with waiting("Making the certificate authority"):
        return authority(settings, {name: providers.build(name, one) for name, one in settings.instances.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """What there is now."""

    path: Path
    choices: Choices
    settings: Settings
    authority: Authority | None
    is_new: bool

    def facts(self) -> Mapping[str, Any]:
        return {
            "config": str(self.path),
            "profile": self.choices.profile,
            "listen": f"{self.settings.server.host}:{self.settings.server.port}",
            "providers": list(self.choices.providers),
            "found": {name: list(places) for name, places in self.choices.found.sources.items()},
            "ca": None if self.authority is None else _facts_of(self.authority, self.settings.ca.folder),
            "state": str(self.settings.home),
            "next": self._next(),
        }

    def show(self) -> None:
        server = self.settings.server
        names, profile = ", ".join(self.choices.providers), self.choices.profile
        where = f"Profile: {profile}, listen {server.host}:{server.port}"
        typer.echo(f"Wrote {short(self.path)} (providers: {names})   {where}")
        if self.authority is not None:
            typer.echo(_of_authority(self.authority, self.settings.ca.folder, is_new=self.is_new))
        else:
            typer.echo(
                f"No CA is made: the pods are given the one of the Secret {NAME}-ca, at {self.settings.ca.folder}"
            )
        for name in self.choices.providers:
            for place in self.choices.found.sources.get(name, ()):
                typer.echo(f"Found for {name}: {place}")
        for line in self._cautions():
            typer.echo(line)
        typer.echo(f"Next: {self._next()}")

    def _cautions(self) -> Iterable[str]:
        read = self.settings_of_serve()
        if self.path not in read:
            yield f"`llmauth serve` does not read it by itself: --config {short(self.path)}, or LLMAUTH_CONFIG."
        unfinished = [
            name
            for name in self.choices.providers
            if name not in {one.type for one in self.settings.instances.values()}
        ]
        if unfinished:
            yield f"Left as comments, since each needs a value of yours: {', '.join(unfinished)}"

    def settings_of_serve(self) -> tuple[Path, ...]:
        """The files that `serve` reads without an option."""
        own = default_file(os.environ)
        chosen = [Path(name) for name in os.environ.get("LLMAUTH_CONFIG", "").split(os.pathsep) if name]
        return tuple(path.absolute() for path in (chosen or [own] if own else chosen))

    def _next(self) -> str:
        if self.choices.profile == "pod":
            made = f"kubectl -n {NAMESPACE} create configmap {NAME}-config --dry-run=client -o yaml"
            return f"{made} --from-file=gateway.yaml={shlex.quote(str(self.path))} | kubectl apply -f -"
        if self.choices.profile == "server":
            return "llmauth keys create NAME, and then: llmauth serve"
        seen, region = self.choices.found, self.choices.found.region
        without = next((one for one in self.choices.providers if one != "bedrock" and not seen.has(one)), None)
        if without is None:
            return "llmauth serve"
        try:
            store_name()
        except KeyringRefused:
            return (
                f"llmauth serve, with the providers' keys in its environment ({without} has none yet; no keyring here)"
            )
        return f"llmauth secret set {instance_name(without, region)}"


def _facts_of(made: Authority, folder: Path) -> Mapping[str, Any]:
    return {
        "certificate": str(folder / CERTIFICATE_FILE),
        "key": str(folder / KEY_FILE),
        "sha256": made.fingerprint(),
        "days": made.days_left(),
        "domains": list(made.domains),
    }


def _of_authority(made: Authority, folder: Path, *, is_new: bool) -> str:
    name = made.certificate.subject.rfc4514_string().partition("CN=")[2].partition(",")[0]
    days = math.ceil((made.expires_at - time.time()) / 86_400)
    limits = f"limited to: {in_words(made.domains)} (llmauth ca show)"
    return (
        f'{"Created" if is_new else "Uses the"} CA "{name}" valid {days} d, {limits}\n'
        f"  file {short(folder / CERTIFICATE_FILE)} (public)   key {short(folder / KEY_FILE)} (0600)   "
        f"SHA-256 {made.fingerprint()}"
    )
