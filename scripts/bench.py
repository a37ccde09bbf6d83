"""The benchmark: our full chain, a chain that does nothing and a bare mitmdump, started in one run, as ratios."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench_load import Contender, load
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from llmauth.demo.certificates import Authority

SCRIPTS = Path(__file__).resolve().parent
HOST, BEDROCK = "api.openai.com", "bedrock-runtime.us-east-1.amazonaws.com"
MODEL = "amazon.nova-pro-v1:0"
TICKS = os.sysconf("SC_CLK_TCK")
# A stock mitmdump buffers an answer whole; this is the least that makes it stream.
STREAMS = "def responseheaders(flow):\n    flow.response.stream = True\n"
_START_LIMIT = 20.0
_CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "How much does a request cost? " * 8}]}


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure: `requests` of `body` over `lines` connections; `streams` picks the mitmdump that streams."""

    name: str
    body: bytes
    requests: int
    lines: int
    streams: bool = False


def measures(scale: float) -> list[Measure]:
    """What is measured. CPU per request is the figure to trust; latency at one connection shows what is added."""
    chat = json.dumps(_CHAT).encode()
    stream = json.dumps({**_CHAT, "stream": True}).encode()
    paced = json.dumps({**_CHAT, "stream": True, "user": "paced"}).encode()
    return [
        Measure("JSON, keep-alive", chat, int(3000 * scale), 8),
        Measure("100-token stream", stream, int(600 * scale), 8, streams=True),
        Measure("100-token stream, paced, 20 at once", paced, max(int(200 * scale) // 20, 1) * 20, 20, streams=True),
        Measure("JSON, one at a time", chat, int(600 * scale), 1),
    ]


@dataclass(frozen=True, slots=True)
class Pair:
    """A stream that passes and the same one translated: each by its path and body at our gateway."""

    name: str
    passed: tuple[str, bytes]
    translated: tuple[str, bytes]


def pairs() -> list[Pair]:
    """From each kind of stream that providers write, to a client of the other protocol."""
    messages: Any = _CHAT["messages"]
    chat = json.dumps({**_CHAT, "stream": True}).encode()
    to_bedrock = json.dumps({"model": MODEL, "messages": messages, "stream": True}).encode()
    message = json.dumps({"model": "gpt-4o-mini", "max_tokens": 500, "messages": messages, "stream": True}).encode()
    converse = json.dumps({"messages": [{"role": "user", "content": [{"text": messages[0]["content"]}]}]}).encode()
    native = f"/transparent/bedrock/model/{MODEL}/converse-stream"
    return [
        Pair(
            "OpenAI's chat to Messages",
            ("/transparent/openai/v1/chat/completions", chat),
            ("/anthropic/openai/v1/messages", message),
        ),
        Pair("Converse to OpenAI's chat", (native, converse), ("/openai/bedrock/v1/chat/completions", to_bedrock)),
        Pair(
            "Converse to Responses",
            (native, converse),
            ("/openai/bedrock/v1/responses", json.dumps({"model": MODEL, "input": "Hello", "stream": True}).encode()),
        ),
    ]


class Bench:
    """Starts every contender, and ends them all when it is left."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self._stack = stack
        self._folder = folder
        self._upstream = _free_port()
        self._provider_key = f"sk-bench-{secrets.token_hex(12)}"
        authority = Authority.create()
        (folder / "provider-ca.pem").write_bytes(authority.pem)
        (folder / "provider.pem").touch(mode=0o600)
        (folder / "provider.pem").write_bytes(authority.issue([HOST, BEDROCK, "localhost"]))
        self._start(["bench_upstream.py", str(folder / "provider.pem"), str(self._upstream)], self._upstream, cpu=1)
        self._config = self._configure()

    def bare(self, door: str, *, streams: bool) -> Contender:
        """mitmdump with no addon, or with the one line that makes it stream."""
        port, home = _free_port(), self._folder / f"mitmdump-{door}-{streams}"
        mode = f"reverse:https://localhost:{self._upstream}@{port}" if door == "gateway" else f"regular@{port}"
        options = [
            "--set",
            f"confdir={home}",
            "--set",
            f"ssl_verify_upstream_trusted_ca={self._folder}/provider-ca.pem",
        ]
        script = self._folder / "streams.py"
        script.write_text(STREAMS)
        more = ["-s", str(script)] if streams else []
        program = str(Path(sys.executable).parent / "mitmdump")
        pid = self._start([program, "-q", "--listen-host", "127.0.0.1", "--mode", mode, *options, *more], port)
        tunnel = f"localhost:{self._upstream}" if door == "connect" else None
        return Contender(
            name="mitmdump, streaming" if streams else "mitmdump", pid=pid, port=port, host="localhost", tunnel=tunnel,
            path="/v1/chat/completions", key=self._provider_key, ca_file=str(home / "mitmproxy-ca-cert.pem"),
        )  # fmt: skip

    def ours(self, door: str) -> Contender:
        """The full chain, as `llmauth serve` runs it."""
        home, port = self._home("full"), _free_port()
        key = self._llmauth(home, "keys", "create", "bench").strip()
        (home / "ca.pem").write_text(self._llmauth(home, "ca", "export"))
        program = [sys.executable, "-m", "llmauth", "serve", "--config", str(self._config), "--port", str(port)]
        pid = self._start(program, port, env=self._environ(home))
        return self._gateway("full chain", door, pid, port, key, home)

    def nothing(self, door: str) -> Contender:
        """Our master and layers under an addon that does nothing."""
        home, port = self._home("nothing"), _free_port()
        (home / "ca.pem").write_text(self._llmauth(home, "ca", "export"))
        environ = {**self._environ(home), "PORT": str(port)}
        pid = self._start(["bench_nothing.py", str(self._config)], port, env=environ)
        return self._gateway("do-nothing chain", door, pid, port, self._provider_key, home)

    def _gateway(self, name: str, door: str, pid: int, port: int, key: str, home: Path) -> Contender:
        native = door == "connect"
        return Contender(
            name=name, pid=pid, port=port, host=HOST, key=key, ca_file=str(home / "ca.pem"),
            tunnel=f"{HOST}:443" if native else None,
            path="/v1/chat/completions" if native else "/transparent/openai/v1/chat/completions",
        )  # fmt: skip

    def _home(self, name: str) -> Path:
        home = self._folder / f"{name}-{secrets.token_hex(4)}"
        home.mkdir(mode=0o700)
        return home

    def _configure(self) -> Path:
        config = self._folder / "gateway.yaml"
        config.write_text(
            f"upstream:\n  ca_file: {self._folder}/provider-ca.pem\n"
            f"  resolve: {{{HOST}: '127.0.0.1:{self._upstream}', {BEDROCK}: '127.0.0.1:{self._upstream}'}}\n"
            "instances:\n"
            + "".join(
                f"  {name}:\n    type: {name}\n    authentication:\n      strategies:\n"
                "        - {type: environment, variable: BENCH_PROVIDER_KEY}\n"
                for name in ("openai", "bedrock")
            )
        )
        return config

    def _environ(self, home: Path) -> dict[str, str]:
        return {**os.environ, "LLMAUTH_HOME": str(home), "BENCH_PROVIDER_KEY": self._provider_key, "LOG_FORMAT": "json"}

    def _llmauth(self, home: Path, *words: str) -> str:
        command = [sys.executable, "-m", "llmauth", *words]
        done = subprocess.run(command, env=self._environ(home), check=True, capture_output=True, text=True)
        return done.stdout

    def _start(self, command: Sequence[str], port: int, cpu: int = 0, env: dict[str, str] | None = None) -> int:
        if command[0].endswith(".py"):
            command = [sys.executable, str(SCRIPTS / command[0]), *command[1:]]
        if shutil.which("taskset") and (os.cpu_count() or 1) > 1:
            command = ["taskset", "-c", str(cpu), *command]
        log = self._stack.enter_context((self._folder / f"log-{port}").open("wb"))
        process = subprocess.Popen(command, stdout=log, stderr=log, env=env or dict(os.environ))
        self._stack.callback(process.wait)
        self._stack.callback(process.terminate)
        ends = time.monotonic() + _START_LIMIT
        while time.monotonic() < ends and process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return process.pid
            time.sleep(0.05)
        raise SystemExit(f"{command} did not start: {(self._folder / f'log-{port}').read_text()[-2000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def cpu_seconds(pid: int) -> float:
    """User and system time that a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


@dataclass(frozen=True, slots=True)
class Figure:
    """Milliseconds: CPU a request, and the median to the first byte."""

    cpu: float
    first_byte: float


def run(contender: Contender, measure: Measure) -> Figure:
    """One figure of one contender."""
    asyncio.run(load(contender, measure.body, measure.lines * 5, measure.lines))
    before = cpu_seconds(contender.pid)
    spent = asyncio.run(load(contender, measure.body, measure.requests, measure.lines))
    used = cpu_seconds(contender.pid) - before
    return Figure(used / len(spent) * 1000, statistics.median(first for first, _ in spent) * 1000)


def compare(bench: Bench, door: str, scale: float, rounds: int, progress: Progress) -> dict[str, dict[str, Figure]]:
    """Every measure for every contender of a door; contenders take turns, and the median of the rounds counts."""
    full, nothing = bench.ours(door), bench.nothing(door)
    buffers, streams = bench.bare(door, streams=False), bench.bare(door, streams=True)
    chosen = measures(scale)
    task = progress.add_task(f"{door}", total=len(chosen) * 3 * rounds)
    found: dict[str, dict[str, Figure]] = {}
    for measure in chosen:
        contenders = [streams if measure.streams else buffers, nothing, full]
        figures: dict[str, list[Figure]] = {each.name: [] for each in contenders}
        for _ in range(rounds):
            for each in contenders:
                figures[each.name].append(run(each, measure))
                progress.advance(task)
        found[measure.name] = {name: _median(each) for name, each in figures.items()}
    return found


def translate(bench: Bench, scale: float, rounds: int, progress: Progress) -> dict[str, tuple[Figure, Figure]]:
    """Each pair, in turns: the stream as it passes, and the same one translated."""
    full, requests = bench.ours("gateway"), int(400 * scale)
    chosen = pairs()
    task = progress.add_task("translation", total=len(chosen) * 2 * rounds)
    found = {}
    for pair in chosen:
        figures: tuple[list[Figure], list[Figure]] = ([], [])
        for _ in range(rounds):
            for kept, (path, body) in zip(figures, (pair.passed, pair.translated), strict=True):
                kept.append(run(replace(full, path=path), Measure(pair.name, body, requests, 8)))
                progress.advance(task)
        found[pair.name] = (_median(figures[0]), _median(figures[1]))
    return found


def show_translations(console: Console, found: dict[str, tuple[Figure, Figure]]) -> None:
    """A table for people: what it costs to translate a stream of 100 tokens, beside passing it."""
    table = Table(title="translation: CPU ms a stream of 100 tokens, gateway door")
    for column in ("stream", "passed", "translated", "ratio"):
        table.add_column(column, justify="left" if column == "stream" else "right")
    for name, (passed, translated) in found.items():
        table.add_row(name, f"{passed.cpu:.3f}", f"{translated.cpu:.3f}", f"{translated.cpu / passed.cpu:.2f}")
    console.print(table)


def _median(figures: Sequence[Figure]) -> Figure:
    def middle(of: Callable[[Figure], float]) -> float:
        return statistics.median(map(of, figures))

    return Figure(middle(lambda f: f.cpu), middle(lambda f: f.first_byte))


def show(console: Console, door: str, found: dict[str, dict[str, Figure]]) -> None:
    """A table for people. Ratios compare within this run; absolute times are this machine's."""
    table = Table(title=f"{door} door: CPU ms a request, and ratio to the bare mitmdump")
    for column in ("measure", "mitmdump", "do-nothing", "full chain", "ratio", "added ms CPU", "first byte ms"):
        table.add_column(column, justify="left" if column == "measure" else "right")
    for name, figures in found.items():
        bare, nothing, full = figures.values()
        table.add_row(
            name, f"{bare.cpu:.3f}", f"{nothing.cpu:.3f}", f"{full.cpu:.3f}", f"{full.cpu / bare.cpu:.2f}",
            f"{full.cpu - nothing.cpu:+.3f}", f"{bare.first_byte:.2f} → {full.first_byte:.2f}",
        )  # fmt: skip
    console.print(table)


def main() -> None:
    """Measure both doors and print the ratios; --json for scripts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="more or fewer requests")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each contender; the median counts")
    parser.add_argument("--door", choices=("gateway", "connect"), action="append", help="only this door")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {1})
    console, found = Console(), {}
    with ExitStack() as stack, Progress(console=Console(stderr=True), transient=True) as progress:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bench = Bench(stack, folder)
        for door in options.door or ("gateway", "connect"):
            found[door] = compare(bench, door, options.scale, options.rounds, progress)
        translated = translate(bench, options.scale, options.rounds, progress)
    if options.json:
        figures = {
            d: {m: {c: [f.cpu, f.first_byte] for c, f in each.items()} for m, each in all_.items()}
            for d, all_ in found.items()
        }
        figures["translation"] = {
            name: {"passed": [p.cpu, p.first_byte], "translated": [t.cpu, t.first_byte]}
            for name, (p, t) in translated.items()
        }
        print(json.dumps(figures))
        return
    for door, each in found.items():
        show(console, door, each)
    show_translations(console, translated)


if __name__ == "__main__":
    main()
