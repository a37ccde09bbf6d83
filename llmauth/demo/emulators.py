"""All emulators in one: a server in a thread of its own, what it received, and how it shall behave."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

from llmauth.demo.anthropic import Anthropic
from llmauth.demo.azure import Azure
from llmauth.demo.bedrock import BedrockControl, BedrockRuntime
from llmauth.demo.behaviour import Behaviour, Script
from llmauth.demo.certificates import Authority, Certificate, server_context
from llmauth.demo.credentials import DemoCredentials
from llmauth.demo.echo import Echo
from llmauth.demo.emulator import Emulator, Setting
from llmauth.demo.iam import Iam, Tokens
from llmauth.demo.openai import OpenAI
from llmauth.demo.oracle import OracleInference, OracleManagement
from llmauth.demo.reception import Reception
from llmauth.demo.recorder import Connected, Recorded, Recorder
from llmauth.demo.server import Server
from llmauth.demo.vertex import Vertex
from llmauth.demo.watsonx import DataPlatform, Watsonx

_START_LIMIT = 10.0  # seconds
AZURE_RESOURCES = ("demo-us", "demo-eu")
VERTEX_LOCATIONS = ("global", "eu", "us-central1", "europe-west4")
WATSONX_REGIONS = ("us-south", "eu-de")
ORACLE_REGIONS = ("us-chicago-1", "eu-frankfurt-1")


def providers(setting: Setting, regions: Sequence[str], tokens: Tokens) -> list[Emulator]:
    """Every emulated provider; a new one is a module and a line here. `tokens` are those of IBM."""
    emulators: list[Emulator] = [OpenAI(setting), Anthropic(setting)]
    for region in regions:
        emulators += [BedrockRuntime(setting, region), BedrockControl(setting, region)]
    emulators += [Azure(setting, resource) for resource in AZURE_RESOURCES]
    emulators += [Vertex(setting, location) for location in VERTEX_LOCATIONS]
    emulators += [Iam(setting, tokens), *(Watsonx(setting, tokens, region) for region in WATSONX_REGIONS)]
    emulators += [DataPlatform(setting, tokens, region) for region in WATSONX_REGIONS]
    for region in ORACLE_REGIONS:
        emulators += [OracleInference(setting, region), OracleManagement(setting, region)]
    return emulators


class Emulators:
    """The providers on one loopback port. Every method may be called from any thread."""

    def __init__(
        self,
        *,
        credentials: DemoCredentials | None = None,
        regions: Sequence[str] = ("us-east-1", "eu-west-1"),
        echo_hosts: Sequence[str] = (),
        aliases: Mapping[str, str] | None = None,
        tls: bool = True,
        certificate: Certificate = Certificate.VALID,
        pace: float = 0.02,
        tokens: int = 24,
        port: int = 0,
        state: Path | None = None,
        keep: int = 10_000,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`aliases` maps a further name (such as localhost, reached with the port) to an emulated host; `pace` is
        seconds a token; `state` is the folder for the CA's certificate, a temporary one unless given; `keep` bounds
        the record.
        """
        self._setting = Setting(
            credentials=credentials or DemoCredentials.random(), pace=pace, tokens=tokens, wall=wall
        )
        self.ibm_tokens = Tokens(wall)
        self._emulators = providers(self._setting, regions, self.ibm_tokens)
        self._emulators += [Echo(self._setting, host) for host in echo_hosts]
        self._aliases = dict(aliases or {})
        for host in self._aliases.values():
            self._require(host)
        self._recorder = Recorder(keep)
        self._script = Script()
        self._certificate = certificate
        self._tls = tls
        self._port = port
        self._temporary = tempfile.TemporaryDirectory(prefix="llmauth-emulators-") if state is None else None
        self._state = Path(self._temporary.name) if self._temporary is not None else Path(state or ".")
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: asyncio.Event | None = None
        self._failure: BaseException | None = None

    def start(self) -> Self:
        """Listen, in a thread; returns when connections are taken. Raises OSError or
        OverflowError when the port cannot be had."""
        authority = Authority.create()
        self._state.mkdir(parents=True, exist_ok=True)
        self.ca_file.write_bytes(authority.pem)
        context = server_context(authority, {*self.hosts, *self._aliases}, self._certificate) if self._tls else None
        reception = Reception(
            self._emulators,
            setting=self._setting,
            recorder=self._recorder,
            script=self._script,
            aliases=self._aliases,
            tls=self._tls,
        )
        server = Server(reception, context)
        ready = threading.Event()
        run = self._run(server, ready)
        self._thread = threading.Thread(target=asyncio.run, args=(run,), name="emulators", daemon=True)
        self._thread.start()
        if not ready.wait(_START_LIMIT):
            self._failure = TimeoutError("the emulators did not start")
        if self._failure is not None:
            self.stop()
            raise self._failure
        return self

    async def _run(self, server: Server, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        try:
            self._port = await server.start(self._port)
        except (OSError, OverflowError) as failure:
            self._failure = failure
            return
        finally:
            ready.set()
        await self._ended.wait()
        await server.stop()

    def stop(self) -> None:
        """Close every connection and forget the temporary folder."""
        if self._thread is not None and self._loop is not None and self._ended is not None and self._failure is None:
            self._loop.call_soon_threadsafe(self._ended.set)
            self._thread.join(_START_LIMIT)
        self._thread = None
        if self._temporary is not None:
            self._temporary.cleanup()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The port on 127.0.0.1."""
        return self._port

    @property
    def ca_file(self) -> Path:
        """PEM file with the CA that signed the server's certificate (unless the certificate is a bad one)."""
        return self._state / "emulators-ca.pem"

    @property
    def hosts(self) -> tuple[str, ...]:
        """The names that are served."""
        return tuple(sorted(host for emulator in self._emulators for host in emulator.hosts))

    @property
    def resolve(self) -> dict[str, str]:
        """Host to address, in the shape of the configuration's `upstream.resolve`."""
        return dict.fromkeys(self.hosts, f"127.0.0.1:{self._port}")

    @property
    def credentials(self) -> DemoCredentials:
        """What the emulators ask for; may be set to others while they run, as when a key is rotated."""
        return self._setting.credentials

    @credentials.setter
    def credentials(self, credentials: DemoCredentials) -> None:
        self._setting.credentials = credentials

    def behave(self, host: str, behaviour: Behaviour, *, times: int | None = 1, path: str = "/") -> None:
        """Answer the next `times` requests (`None`: all) of `host`, of paths that start with `path`, in this way."""
        self._require(host)
        self._script.add(host, behaviour, times, path)

    def _require(self, host: str) -> None:
        if host not in self.hosts:
            raise ValueError(f"no such host is emulated: {host}; there are {', '.join(self.hosts)}")

    def requests(self, host: str | None = None) -> tuple[Recorded, ...]:
        """What arrived, oldest first."""
        return self._recorder.requests(host)

    @property
    def connections(self) -> tuple[Connected, ...]:
        """Who connected, oldest first; also those that never sent a request."""
        return self._recorder.connections()

    def wait(self, condition: Callable[[tuple[Recorded, ...]], bool], *, timeout: float = 5.0) -> tuple[Recorded, ...]:
        """The record, as soon as `condition` holds for it; raises TimeoutError."""
        if not self._recorder.wait(lambda: condition(self.requests()), timeout):
            raise TimeoutError(f"the emulators saw nothing of the kind within {timeout} s")
        return self.requests()

    def clear(self) -> None:
        """Forget what arrived, how to behave, and what prompts were kept; connections stay open."""
        self._recorder.clear()
        self._script.clear()
        self._setting.prompts.clear()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the emulators in the foreground; one JSON line tells how to reach them. Ends with SIGINT or SIGTERM."""
    options = _options(arguments)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    try:
        emulators = _chosen(options).start()
    except (OSError, OverflowError) as problem:
        sys.stderr.write(f"The emulators cannot listen on port {options.port}: {problem}\n")
        return 1
    except ValueError as problem:
        sys.stderr.write(f"The emulators cannot start: {problem}\n")
        return 2
    sys.stdout.write(json.dumps(_told(emulators)) + "\n")
    sys.stdout.flush()
    ended.wait()
    emulators.stop()
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m llmauth.demo.emulators", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 lets the system choose")
    parser.add_argument("--state", type=Path, help="folder for the CA's certificate")
    parser.add_argument("--pace", type=float, default=20.0, metavar="MS", help="milliseconds a token (20)")
    parser.add_argument("--tokens", type=int, default=24, help="tokens an answer (24)")
    parser.add_argument("--region", action="append", help="AWS region; repeatable")
    parser.add_argument("--echo", action="append", metavar="HOST", help="a further host that echoes; repeatable")
    parser.add_argument("--alias", action="append", type=_pair, metavar="NAME=HOST", help="a further name; repeatable")
    parser.add_argument("--plain", action="store_true", help="HTTP without TLS")
    return parser.parse_args(arguments)


def _chosen(options: argparse.Namespace) -> Emulators:
    return Emulators(
        regions=options.region or ("us-east-1", "eu-west-1"),
        echo_hosts=options.echo or (),
        aliases=dict(options.alias or ()),
        tls=not options.plain,
        pace=options.pace / 1000,
        tokens=options.tokens,
        port=options.port,
        state=options.state,
        keep=100,
    )


def _pair(text: str) -> tuple[str, str]:
    name, sign, host = text.partition("=")
    if not (name and sign and host):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=HOST")
    return name, host


def _told(emulators: Emulators) -> dict[str, object]:
    return {
        "port": emulators.port,
        "ca_file": str(emulators.ca_file),
        "hosts": emulators.hosts,
        "resolve": emulators.resolve,
        "credentials": asdict(emulators.credentials),
    }


if __name__ == "__main__":
    sys.exit(main())
