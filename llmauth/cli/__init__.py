"""`llmauth`: finds the command, and turns whatever goes wrong into one clear message and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from llmauth import __version__

# A command's module is imported when it is called: `--help` must not wait for cryptography and an AWS SDK.
COMMANDS: Mapping[str, str] = {
    "serve": "Run the proxy.",
    "init": "Write a configuration, and make what belongs to it.",
    "secret": "Keep the providers' keys in the keyring of this machine.",
    "demo": "Run the proxy with emulated providers, and send real calls through it.",
    "keys": "Issue, list, revoke and rotate the keys of your callers.",
    "doctor": "Look for what is wrong between clients, proxy and providers, and name what mends it.",
    "creds": "Show where the providers' credentials come from, and rehearse what may happen to them.",
    "run": "Run a command behind the proxy, with all that it needs.",
    "join": "Join a proxy that others run, for run, whoami, last and tail.",
    "leave": "Forget the proxy that was joined.",
    "login": "Log in at an OpenID provider, for a session at the proxy.",
    "whoami": "Show whom the proxy takes you for.",
    "last": "Show what became of the last requests.",
    "tail": "Show each request when it is over.",
    "explain": "Explain one request: decisions, credential, times.",
    "audit": "Check and export the record of decisions.",
    "config": "Check a configuration, and have running proxies take it over.",
    "ca": "Show, export and replace the certificate authority of intercepted tunnels.",
    "uninstall": "Take away all that is ours on this machine.",
    "completion": "Print a shell's completion.",
    "k8s": "What workloads of a cluster need to call through the gateway.",
    "token": "Make a token for a gateway out of credentials that you have anyway.",
}
DONE, FAILED, MISUSED, INTERRUPTED = 0, 1, 2, 130


@dataclass(frozen=True, slots=True)
class Root:
    """What commands may ask of the root by their context."""

    def key_store(self, configs: list[Path]) -> Any:
        """The store of keys (KeyRegistry) by these configuration files; empty for the default ones."""
        from llmauth.cli.waiting import waiting
        from llmauth.config.settings import read_settings
        from llmauth.config.stores import open_store

        settings = read_settings(configs, os.environ)
        with waiting("Opening the key database"):
            return open_store(settings)

    def audit_home(self, configs: list[Path]) -> Path | None:
        """The state folder whose audit record tells changes, by these files; None where they switch it off."""
        from llmauth.config.settings import read_settings

        settings = read_settings(configs, os.environ)
        return settings.home if settings.audit.enabled else None


class _Commands(TyperGroup):
    """Knows its commands by name and sentence, and imports the one that is called."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        if name is not None:
            command = typer.main.get_command(import_module(f"{__name__}.{name}").app)
        return name, command, rest


app = typer.Typer(
    name="llmauth",
    cls=_Commands,
    help="A proxy that knows who calls, and holds the providers' credentials that callers do not.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"llmauth {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version, and end.")
    ] = False,
) -> None:
    """Options of all commands."""


def _placeholder() -> None:
    """Stands in the help for a command that has not been imported."""


for _name, _sentence in COMMANDS.items():
    if find_spec(f"{__name__}.{_name}") is not None:
        app.command(_name, help=_sentence)(_placeholder)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 done, 1 failed, 2 wrong use or configuration. Errors go to standard error."""
    command: Callable[..., Any] = typer.main.get_command(app).main
    try:
        result = command(args=arguments, prog_name="llmauth", standalone_mode=False, obj=Root())
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except TyperException as error:
        error.show()  # type: ignore[attr-defined]
        return error.exit_code
    except BrokenPipeError:
        # Whoever read our output has left; Python would complain once more when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        from llmauth.config.failures import explained

        code, text = explained(error)
        typer.echo(text, err=True)
        return code
    return result if isinstance(result, int) else DONE
