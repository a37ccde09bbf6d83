"""What the environment and the command line say, as layers over the files; and where the files are found."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from llmauth.config.expansion import Expansion
from llmauth.config.problems import Place
from llmauth.config.tree import Node, Value
from llmauth.secrets import Secret

VARIABLES: Mapping[str, str] = {
    "PORT": "server.port",
    "TLS_PORT": "server.tls_port",
    "TLS_CERT_FILE": "server.tls_cert_file",
    "TLS_KEY_FILE": "server.tls_key_file",
    "LOG_LEVEL": "log.level",
    "LOG_FORMAT": "log.format",
    "AUTH_ENABLED": "auth.enabled",
    "AUTH_MODE": "auth.methods",
    "REQUIRE_2FA": "auth.require_2fa",
    "SESSION_DURATION": "auth.session_duration",
    "LLMAUTH_SEALING_KEY_FILE": "storage.sealing_key_file",
    "RATE_LIMIT_ENABLED": "policies.limits",
    "RATE_LIMIT_RPM": "policies.default.rpm",
    "RATE_LIMIT_TPM": "policies.default.tpm",
}
"""The option that each variable sets. An empty variable counts as one that is not set."""

LATER_VARIABLES: tuple[str, ...] = ()
_NO = ("false", "0", "no", "off")

Layer = tuple[str, Node]
"""A dotted path, and the value that takes the place of whatever stands there."""


def files(given: Sequence[Path], environ: Mapping[str, str]) -> tuple[Path, ...]:
    """The files to read: those of the command line, else of LLMAUTH_CONFIG, else the platform's own if it is there.

    The files that PROVIDER_INSTANCES_CONFIG and MODEL_MAPPING_CONFIG name come with each of these.
    """
    chosen = list(given) or [Path(name) for name in environ.get("LLMAUTH_CONFIG", "").split(os.pathsep) if name]
    if not chosen:
        own = default_file(environ)
        chosen = [own] if own is not None and own.exists() else []
    more = (environ.get(name) for name in ("PROVIDER_INSTANCES_CONFIG", "MODEL_MAPPING_CONFIG"))
    chosen += [Path(name) for name in more if name]
    return tuple({path.absolute(): path for path in chosen}.values())


def default_file(environ: Mapping[str, str], platform: str = sys.platform) -> Path | None:
    """`config.yaml` in the platform's folder for configuration, `None` where there is no home folder."""
    try:
        home = Path(environ["HOME"]) if environ.get("HOME") else Path.home()
    except RuntimeError:
        return None
    if platform == "darwin":
        return home / "Library" / "Application Support" / "llmauth" / "config.yaml"
    # XDG Base Directory: "All paths set in these environment variables must be absolute."
    shared = environ.get("XDG_CONFIG_HOME", "")
    return (Path(shared) if shared.startswith("/") else home / ".config") / "llmauth" / "config.yaml"


def from_environment(environ: Mapping[str, str]) -> Iterable[Layer]:
    """The options that environment variables set."""
    if environ.get("GIN_MODE") == "debug" and not environ.get("LOG_LEVEL"):
        yield "log.level", _variable("GIN_MODE", "debug")
    for name, path in VARIABLES.items():
        text = environ.get(name)
        if text:
            yield path, _names(name, text) if name == "AUTH_MODE" else _variable(name, text)
    if environ.get("TLS_ENABLED", "").lower() in _NO:
        for path in ("server.tls_cert_file", "server.tls_key_file"):
            yield path, Node(value=None, place=_place("TLS_ENABLED"))


def wants_tls(environ: Mapping[str, str]) -> bool:
    """Whether TLS_ENABLED insists on the TLS port."""
    return bool(environ.get("TLS_ENABLED")) and environ["TLS_ENABLED"].lower() not in _NO


def from_options(overrides: Mapping[str, object]) -> Iterable[Layer]:
    """The options that the command line sets, by dotted path; `None` sets nothing."""
    for path, value in overrides.items():
        if value is not None:
            place = Place(source=f"option --{path.rpartition('.')[2].replace('_', '-')}", folder=Path.cwd())
            yield path, _node(value, place)


def option_from(variable: str, environ: Mapping[str, str]) -> Node | None:
    """The value of a variable that a provider names for one of its options, `None` when it is not set."""
    text = environ.get(variable)
    return _variable(variable, text) if text else None


def _variable(name: str, text: str) -> Node:
    return Node(value=text, place=_place(name), expansions=(Expansion(name=name, value=Secret(text)),))


def _names(variable: str, text: str) -> Node:
    names = [name.strip() for name in text.split(",")]
    return Node(value=[_variable(variable, name) for name in names if name], place=_place(variable))


def _place(variable: str) -> Place:
    return Place(source=f"environment variable {variable}", folder=Path.cwd())


def _node(value: object, place: Place) -> Node:
    plain: Value
    if isinstance(value, Mapping):
        plain = {str(key): _node(entry, place) for key, entry in value.items()}
    elif isinstance(value, list | tuple):
        plain = [_node(entry, place) for entry in value]
    else:
        plain = value if isinstance(value, bool | int | float) else str(value)
    return Node(value=plain, place=place)
