"""Which proxy a command shall go through, and by whose credential: named, joined, running here, or started for it."""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from llmauth.addresses import HostPort, is_private
from llmauth.cli.meant import PROXY, key_for
from llmauth.cli.own import OwnProxy
from llmauth.cli.proxy import SERVICE, ProxyFailed, ProxyPlace, place_of
from llmauth.clients import joined
from llmauth.clients.served import ServedProxy
from llmauth.config.settings import read_settings
from llmauth.control.client import ControlFailed, ask_one
from llmauth.control.place import folder_of, sockets
from llmauth.credentials.entries import KeyringRefused
from llmauth.regular import read_regular
from llmauth.secrets import Secret
from llmauth.storage.home import StateError, state_folder

CA_FILE = "LLMAUTH_CA_FILE"

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_NOTHING_HERE = (
    "There is no proxy to go through: none was named or joined, none runs here, and no configuration says how to start "
    "one. Write one: llmauth init"
)
# Stands where a session would, in what is shown without one.
_NOT_LENT = Secret("session-of-yours")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A proxy, what callers show it, and whom they must believe (PEM); `more` is believed for its own TLS.

    `own` is the process, where it was started for this command alone.
    """

    proxy: ServedProxy
    credential: Secret | None
    authority_pem: str
    more: tuple[str, ...] = ()
    own: OwnProxy | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the command line says of it: a URL and its CA, or configurations of a proxy on this machine.

    Of one on this machine a session of `seconds` is opened where `lends`, and not ended afterwards where `kept`.
    """

    url: str | None
    ca_file: Path | None
    configs: tuple[Path, ...]
    seconds: float
    lends: bool = True
    kept: bool = False


@contextmanager
def found(wish: Wish, environ: Mapping[str, str], *, may_start: bool) -> Iterator[Found]:
    """The proxy, as long as it is used; what was lent or started for it is gone afterwards.

    ProxyFailed with a sentence where there is none, ValueError for a URL that is none.
    """
    elsewhere = None if wish.configs and wish.url is None else _elsewhere(wish, environ)
    if elsewhere is not None:
        yield elsewhere
        return
    try:
        number, file, told = _running(environ)
    except LookupError:
        if not may_start:
            raise ProxyFailed("No proxy runs here. Start one: llmauth serve") from None
        with _started(wish, environ) as own:
            yield own
        return
    with _lent(number, file, told, wish) as here:
        yield here


def login_name() -> str:
    """Who runs this, as the system knows it and not as the environment says."""
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:  # in a container an account may have a number alone
        return str(number)


# ---- elsewhere -----------------------------------------------------------------------------------------------------


def _elsewhere(wish: Wish, environ: Mapping[str, str]) -> Found | None:
    """The proxy that was named, else the one that was joined."""
    profile = _profile(environ)
    url = wish.url or environ.get(PROXY)
    if url is None:
        return None if profile is None else _joined(profile, environ)
    place = place_of(url)
    key = key_for(place, environ)
    # By the scheme as well: what was joined over TLS is not to be shown in clear text.
    same = profile is not None and profile.url == place.url
    if same and profile is not None and wish.ca_file is None and place.password is None and key is None:
        return _joined(profile, environ)
    credential = place.password or key or _saved(place)
    proxy = ServedProxy(url=place.url, user=login_name(), authenticates=credential is not None)
    file = wish.ca_file or (Path(environ[CA_FILE]) if environ.get(CA_FILE) else None)
    if file is not None:
        pem = _read(file)
        _require_beside(place)
        return Found(proxy=proxy, credential=credential, authority_pem=pem)
    if same and profile is not None:
        _require_beside(place)
        return Found(proxy=proxy, credential=credential, authority_pem=profile.ca_pem, more=_own_tls(profile, environ))
    raise ProxyFailed(
        f"Whose certificates does {place.authority} sign? Give the file that `llmauth ca export` prints there: "
        f"--ca-file FILE, or {CA_FILE}. Or join it, which asks for it: llmauth join {place.url}"
    )


def _profile(environ: Mapping[str, str]) -> joined.Joined | None:
    try:
        return joined.read(environ)
    except StateError as error:
        raise ProxyFailed(str(error)) from None


def _joined(profile: joined.Joined, environ: Mapping[str, str]) -> Found:
    try:
        session = key_for(place_of(profile.url), environ) or joined.session(profile, environ)
    except (KeyringRefused, StateError) as error:
        raise ProxyFailed(f"The session at {profile.authority} cannot be read: {error}") from None
    if session is None:
        raise ProxyFailed(f"There is no session at {profile.authority} any more. Run: llmauth join {profile.url}")
    _require_beside(place_of(profile.url))
    proxy = ServedProxy(url=profile.url, user=profile.user)
    return Found(proxy=proxy, credential=session, authority_pem=profile.ca_pem, more=_own_tls(profile, environ))


def _own_tls(profile: joined.Joined, environ: Mapping[str, str]) -> tuple[str, ...]:
    file = joined.trusted(profile, environ)
    return () if file is None else (_read(file),)


def _require_beside(place: ProxyPlace) -> None:
    """In clear text the credential goes to a private address alone."""
    if place.scheme != "http":
        return
    host = _host(place)
    try:
        addresses = {str(info[4][0]) for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        raise ProxyFailed(f"{host} cannot be found, and would be asked in clear text.") from None
    if not all(map(is_private, addresses)):
        raise ProxyFailed(
            f"{host} is not beside this machine, and would be asked in clear text; its URL must begin with https://"
        )


def _host(place: ProxyPlace) -> str:
    return urlsplit(place.url).hostname or ""


def _saved(place: ProxyPlace) -> Secret | None:
    """What `llmauth login --save` kept. A machine without a keyring has kept nothing."""
    import keyring

    # An entry does not say for which scheme it was kept: in clear text it goes to this machine itself alone.
    if place.scheme == "http" and _host(place) not in _LOOPBACK:
        return None
    try:
        kept = keyring.get_password(SERVICE, f"session@{place.authority}")
    except Exception:
        return None
    return Secret(kept) if kept else None


def _read(file: Path) -> str:
    try:
        return read_regular(file).decode("ascii")
    except OSError as error:
        raise ProxyFailed(f"The CA file {file} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise ProxyFailed(f"The CA file {file} cannot be read: {type(error).__name__}.") from None


# ---- on this machine -----------------------------------------------------------------------------------------------


def _running(environ: Mapping[str, str]) -> tuple[int, Path, Mapping[str, Any]]:
    """A proxy that runs on this state folder for everybody; LookupError where there is none."""
    for number, file in sockets(folder_of(state_folder(environ))):
        told = _asked(number, file, {"ask": "served"})
        if told is not None and told["runner"] is None and told["port"]:
            return number, file, told
    raise LookupError


@contextmanager
def _started(wish: Wish, environ: Mapping[str, str]) -> Iterator[Found]:
    if not read_settings(wish.configs, environ).instances:
        raise ProxyFailed(_NOTHING_HERE)
    with OwnProxy(wish.configs, environ) as own:
        folder = folder_of(state_folder(environ))
        file = next((file for number, file in sockets(folder) if number == own.number), None)
        told = None if file is None else _asked(own.number, file, {"ask": "served"})
        if file is None or told is None:
            raise ProxyFailed("The proxy that was started for this command ended at once.")
        with _lent(own.number, file, told, wish, own) as here:
            yield here


@contextmanager
def _lent(number: int, file: Path, told: Mapping[str, Any], wish: Wish, own: OwnProxy | None = None) -> Iterator[Found]:
    """With a session of this user, which ends with the command, and by itself when we are killed."""
    user = login_name()
    proxy = ServedProxy.of(_url(str(told["host"]), int(told["port"])), user, told)
    if not (proxy.authenticates and wish.lends):
        nobody = _NOT_LENT if proxy.authenticates else None
        yield Found(proxy=proxy, credential=nobody, authority_pem=told["certificate"], own=own)
        return
    lent = _asked(number, file, {"ask": "lend", "user": user, "seconds": wish.seconds})
    if lent is None:
        raise ProxyFailed("The proxy has ended just now. Try again.")
    if own is not None:
        own.entrust(str(lent["id"]))
    try:
        yield Found(proxy=proxy, credential=Secret(lent["token"]), authority_pem=told["certificate"], own=own)
    finally:
        if not wish.kept:
            _take_back(file.parent, {"ask": "take_back", "id": lent["id"], "user": user})


def _take_back(folder: Path, question: Mapping[str, Any]) -> None:
    """Where none of them runs any more, it ends by itself."""
    for number, file in sockets(folder):
        with suppress(ControlFailed):
            told = ask_one(number, file, question)
            if told is not None and told.get("ended"):
                return


def _asked(number: int, file: Path, question: Mapping[str, Any]) -> Mapping[str, Any] | None:
    try:
        return ask_one(number, file, question)
    except ControlFailed as error:
        raise ProxyFailed(str(error)) from None


def _url(host: str, port: int) -> str:
    """Where a listener on this address is reached from this machine."""
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1", "localhost": "127.0.0.1"}.get(host, host)
    return f"http://{HostPort(reached, port)}"
