"""The sections of the configuration that belong to no single module: server, upstream, clients, CA, logs and state."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, InstanceOf
from pydantic_core import PydanticCustomError, PydanticKnownError

from llmauth.addresses import HostPort, is_ip_literal, normalise_host, parse_authority
from llmauth.authenticators import METHODS, MethodOptions
from llmauth.authenticators.keys import ApiKeyOptions
from llmauth.durations import parse_duration
from llmauth.governance.places import parse_place
from llmauth.platform import Cloud, PlatformName
from llmauth.storage.databases import is_file, is_server
from llmauth.storage.redis_urls import is_redis, require_readable
from llmauth.upstream_proxy import NoProxy, ProxyAddress, parse_proxy_url


class Section(BaseModel):
    """Frozen, without unknown keys, and with no error that repeats what was written."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


# ---- values --------------------------------------------------------------------------------------------------------


def unavailable(what: str) -> PydanticCustomError:
    """The fault of asking for a part that has its name already and comes later."""
    return PydanticCustomError("unavailable", "not available in this version: {what}", {"what": what})


def _some(entries: tuple[object, ...]) -> tuple[object, ...]:
    # After the entries: a list whose entries are all wrong is not empty as well.
    if not entries:
        context = {"field_type": "List", "min_length": 1, "actual_length": 0}
        raise PydanticKnownError("too_short", context)
    return entries


def _seconds(value: object) -> float:
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    return parse_duration(text + "s" if text.isascii() and text.isdigit() else text)


def _no_bool(value: object) -> object:
    # Python counts `true` as 1.
    if isinstance(value, bool):
        raise PydanticKnownError("int_type")
    return value


def _host_name(value: object) -> str:
    host = normalise_host(_text(value))
    if is_ip_literal(host):
        raise ValueError("an address, where the name of a host is wanted")
    return host


def _listen_host(value: object) -> str:
    host = normalise_host(_text(value))
    if is_ip_literal(host):
        ipaddress.ip_address(host)  # refuses the spellings that only a resolver understands
    return host


def _address(value: object) -> HostPort:
    return parse_authority(_text(value), 443)


def _destination(value: object) -> HostPort:
    text = _text(value)
    if "*" in text:
        raise ValueError("exact names only; write each host")
    target = parse_authority(text, 443)
    return HostPort(_listen_host(f"[{target.host}]" if ":" in target.host else target.host), target.port)


def _proxy_url(value: object) -> ProxyAddress:
    return parse_proxy_url(_text(value))


def _entries(value: object) -> object:
    """A list, or the text that `NO_PROXY` would hold."""
    if isinstance(value, str):
        return [entry for entry in value.replace(",", " ").split() if entry]
    return value


def _no_proxy(entry: str) -> str:
    NoProxy([entry])
    return entry


def _storage_url(value: object) -> str:
    url = _text(value)
    if is_redis(url):
        require_readable(url)
    elif not (is_file(url) or is_server(url)):
        raise ValueError(
            "not a place for keys; write sqlite:///keys.db, sqlite:////var/lib/llmauth/keys.db, "
            "postgresql://user:password@host/database, or redis://user:password@host:6379/0"
        )
    return url


def _limits_url(value: object) -> str:
    url = _text(value)
    parse_place(url)
    return url


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise PydanticKnownError("string_type")
    return value


Duration = Annotated[float, BeforeValidator(_seconds), Field(gt=0)]
"""Seconds, written `90s` or `12h`; a bare number counts seconds."""
Port = Annotated[int, BeforeValidator(_no_bool), Field(ge=0, le=65535)]
"""A port; 0 takes any that is free."""
OpenPort = Annotated[int, BeforeValidator(_no_bool), Field(ge=1, le=65535)]
HostName = Annotated[str, BeforeValidator(_host_name)]
ListenHost = Annotated[str, BeforeValidator(_listen_host)]
Address = Annotated[HostPort, BeforeValidator(_address)]
Destination = Annotated[HostPort, BeforeValidator(_destination)]
"""A host and a port that callers may be let through to; 443 without one."""
HostOrAddress = Annotated[str, BeforeValidator(_listen_host)]
NotEmpty = AfterValidator(_some)
LowerCase = BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value)


# ---- sections ------------------------------------------------------------------------------------------------------


class Server(Section):
    """Where we listen, and how we stop."""

    host: ListenHost = "127.0.0.1"
    port: Port = 8080
    tls_port: Port = 8443
    tls_cert_file: Path | None = None
    tls_key_file: Path | None = None
    drain_timeout: Duration = 120.0
    gateway_hosts: tuple[HostName, ...] = ()
    http2: bool = True


class CorporateProxy(Section):
    """The proxy through which the outside is reached, and who is reached without it."""

    url: Annotated[InstanceOf[ProxyAddress], BeforeValidator(_proxy_url)]
    no_proxy: Annotated[tuple[Annotated[str, AfterValidator(_no_proxy)], ...], BeforeValidator(_entries)] = ()


class Upstream(Section):
    """How providers are dialled. `resolve` implies `allow_private` for its names."""

    ca_file: Path | None = None
    resolve: Mapping[HostName, Address] = {}
    allow_private: tuple[HostOrAddress, ...] = ()
    proxy: CorporateProxy | None = None
    connect_timeout: Duration = 10.0
    first_byte_timeout: Duration = 600.0
    request_id: bool = True


LATER_METHODS: tuple[str, ...] = ()
# Names that people know for what is no method of its own, and what they should write.
NO_METHODS = {
    "totp": "the second factor belongs to a key; write 'api_key', and `require_2fa: true` where all must have one",
    "jwt": "tokens of an OpenID provider are the method 'oidc'",
}
_SESSION = "session"  # sessions are there wherever keys are


def _method(value: object) -> object:
    """A bare name stands for a mapping with that `type`."""
    entry = {"type": value} if isinstance(value, str) else value
    name = entry.get("type") if isinstance(entry, dict) else None
    if value == _SESSION:
        return {"type": "api_key"}
    if name in NO_METHODS:
        raise PydanticCustomError("no_method", "{why}", {"why": NO_METHODS[name]})
    if name in LATER_METHODS:
        raise unavailable(f"the method '{name}'")
    if isinstance(name, str) and name not in METHODS:
        # Whoever mistypes a method must not run without authentication.
        raise PydanticCustomError(
            "choice", "wanted {expected}", {"expected": ", ".join(f"'{known}'" for known in METHODS)}
        )
    return entry


def _once(methods: tuple[object, ...]) -> tuple[object, ...]:
    return tuple(one for at, one in enumerate(methods) if one not in methods[:at])


class Auth(Section):
    """Who may call, and how that is proved."""

    enabled: bool = True
    methods: Annotated[
        tuple[Annotated[MethodOptions, BeforeValidator(_method)], ...], NotEmpty, AfterValidator(_once)
    ] = (ApiKeyOptions(type="api_key"),)
    require_2fa: bool = False
    session_duration: Duration = 43_200.0


class Egress(Section):
    """What becomes of hosts that are no provider of ours."""

    default: Literal["deny", "tunnel", "learn"] = "deny"
    allow: tuple[Destination, ...] = ()
    ports: Annotated[tuple[OpenPort, ...], NotEmpty] = (443,)
    max_tunnels: Annotated[int, BeforeValidator(_no_bool), Field(ge=1)] = 500
    idle_timeout: Duration = 600.0
    drain_timeout: Duration = 30.0


class Storage(Section):
    """Where issued keys are kept."""

    # A server's holds a password.
    url: Annotated[str, BeforeValidator(_storage_url)] = Field(default="", repr=False)
    sealing_key_file: Path | None = None
    stale_after: Duration | None = None
    limits_url: Annotated[str, BeforeValidator(_limits_url)] = Field(default="memory", repr=False)


class Audit(Section):
    """The record of every decision. Switched off, nobody can tell later who was let in, and why."""

    enabled: bool = True


class MetricsListener(Section):
    """A port with `/metrics` alone, and no key."""

    port: Port
    host: ListenHost = "127.0.0.1"


class Ca(Section):
    """The certificate authority of intercepted tunnels. `auto` makes one, but not inside Kubernetes."""

    create: Literal["auto"] | bool = "auto"
    folder: Path | None = None
    domains: tuple[HostName, ...] = ()


def _switch(value: object) -> object:
    # YAML 1.1 reads a bare `on` as true, YAML 1.2 as a word.
    return {True: "on", False: "off"}.get(value) if isinstance(value, bool) else value


class PlatformSection(Section):
    """What this platform is taken for, and which clouds' identities are held to be there, or not, whatever is seen."""

    type: Literal["auto", PlatformName] = "auto"
    capabilities: Mapping[Cloud, Annotated[Literal["on", "off", "auto"], BeforeValidator(_switch)]] = {}

    def switched(self) -> Mapping[Cloud, bool]:
        """The clouds that are turned on or off."""
        return {cloud: said == "on" for cloud, said in self.capabilities.items() if said != "auto"}


class Log(Section):
    """What is logged, and in which form; without a form a terminal gets text and everything else JSON."""

    level: Annotated[Literal["debug", "info", "warn", "warning", "error"], LowerCase] = "info"
    format: Annotated[Literal["json", "console"] | None, LowerCase] = None
