"""What the commands of a page find: a gateway with emulated providers, a key, files, and programs of others."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llmauth.demo.emulators import Emulators
from tests.e2e.pages.commands import Step, steps
from tests.e2e.pages.standins import SAID, StandIns
from tests.fixtures.certificates import listener
from tests.fixtures.forking import Forking
from tests.fixtures.serving import Serving, environment, free_port, provider_environment, start
from tests.fixtures.terminal import Terminal, terminal, wait_until_ready
from tests.llmauth.demo.clients import interpreter
from tests.sources import ROOT
from tests.test_docs import fences

# Names that pages give to a gateway, and what stands for them here. The longest first.
_TLS = ("https://llm-proxy.example.com:8443", "https://llm-proxy.example.com", "https://proxy.internal:8443")
_TLS_NAMED = ("https://proxy.corp:8443", "https://llm.example.com", "https://localhost:8443", "https://llm.corp")
_PLAIN = (
    "llmauth.llmauth.svc:8080",
    "llm-proxy.example.com:8080",
    "proxy.internal:8080",
    "proxy.corp:8080",
    "127.0.0.1:8080",
    "localhost:8080",
)
_TLS_ALONE = ("llm-proxy.example.com:8443", "proxy.internal:8443", "proxy.corp:8443")
# The first line of a block that is a file: its name in a comment.
_NAMED = re.compile(r"# ([\w.-]+)\n")
_CHECKOUT = ("addons", "certs", "configs", "deployments", "docs", "scripts", "build")

# What is not typed here, since a test of its own runs it, and more of it.
ELSEWHERE: Mapping[str, str] = {
    "./scripts/test": ".ci/run",
    "./scripts/demo": "tests/llmauth/cli/test_demo.py",
    "./scripts/setup-auth.sh": "tests/scripts/test_setup_auth.py",
}


@dataclass(frozen=True, kw_only=True)
class World:
    """What a page needs beside a gateway and its key. Texts may hold `{url}`, `{tls}`, `{home}`, `{key}`, `{port}`.

    `environ` is for the gateway, `variables` for whoever types; `places` are words that stand for others here;
    `prepare` may give more variables. `fails` are parts of commands that are shown because they fail. `sees` is to be
    found in what the commands write, `calls` among the calls of other programs. Commands under the headings of
    `leaves_out` are typed by another test; so are those with a part that stands in `elsewhere`, beside the test's file.
    What a page shows twice is typed once.
    """

    sections: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    says: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[Place], Mapping[str, str] | None] | None = None
    needs: Sequence[str] = ()
    fails: Sequence[str] = ()
    sees: Sequence[str] = ()
    calls: Sequence[str] = ()
    leaves_out: Sequence[str] = ()
    elsewhere: Mapping[str, str] = field(default_factory=dict)

    def leaves(self, step: Step) -> bool:
        """Whether another test types this."""
        return step.heading in self.leaves_out or any(each in step.text for each in {**ELSEWHERE, **self.elsewhere})


class Place:
    """A folder in which the commands of one page are typed, and the gateway beside it."""

    def __init__(self, page: Path, folder: Path, emulators: Emulators, world: World) -> None:
        self.folder = folder / "here"
        self.emulators = emulators
        server, self.tls_ca = listener(folder)
        sections = {**world.sections, "server": {**server, **world.sections.get("server", {})}}
        environ = {**provider_environment(emulators), **world.environ}
        self.gateway: Serving = start(folder, emulators, level="info", environ=environ, **sections)
        self.port = free_port()  # of gateways that the page itself starts
        self._world = world
        self._told: Mapping[str, str] = {}
        self._lay_out([fence.text for fence in fences(page)])
        self.standins = StandIns(self.folder / "bin", {**SAID, **self._filled(world.says)})
        self._told = (world.prepare(self) if world.prepare is not None else None) or {}

    def _lay_out(self, page_files: Sequence[str]) -> None:
        (self.folder / "bin").mkdir(parents=True)
        (self.folder / "user").mkdir()
        for name in _CHECKOUT:
            if (ROOT / name).exists():
                # A link would have the commands of a page write into the checkout.
                shutil.copytree(ROOT / name, self.folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("app.py", "gateway-ca.pem", "proxy-ca.pem", "bundle.pem"):
            (self.folder / name).touch()
        (self.folder / "gateway-ca.pem").write_bytes(self.gateway.ca_file.read_bytes())
        (self.folder / "bundle.pem").write_bytes(self.gateway.bundle.read_bytes())
        (self.folder / "proxy-ca.pem").write_bytes(self.tls_ca.read_bytes())
        # For a proxy over TLS curl reads no variable.
        (self.folder / "user" / ".curlrc").write_text(f'proxy-cacert = "{self.tls_ca}"\n')
        written = {named[1]: text for text in page_files if (named := _NAMED.match(text))}
        for name, text in {**written, **self._filled(self._world.files)}.items():
            file = self.folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            file.chmod(0o600)
        config = self.folder / "gateway.yaml"
        if not config.exists():
            config.write_bytes(self.gateway.config.read_bytes())
        Forking.loaded().put(self.folder / "bin" / "llmauth")
        self._program("python", str(interpreter().absolute()))

    def _program(self, name: str, *words: str) -> None:
        program = self.folder / "bin" / name
        program.write_text(
            "#!/bin/sh\n" + f'PYTHONPATH="{ROOT}" exec ' + " ".join(f'"{word}"' for word in words) + ' "$@"\n'
        )
        program.chmod(0o755)

    def _filled(self, texts: Mapping[str, str]) -> dict[str, str]:
        return {name: self.filled(text) for name, text in texts.items()}

    def filled(self, text: str) -> str:
        """With what is this place's in its brackets."""
        told = {
            "key64": base64.b64encode(self.gateway.key().encode()).decode(),
            "url": self.gateway.url,
            "tls": self.tls,
            "home": str(self.gateway.home),
            "port": str(self.gateway.port),
        }
        for name, value in (told | dict(self._told)).items():
            text = text.replace(f"{{{name}}}", value)
        return text.replace("{key}", self.gateway.key()) if "{key}" in text else text

    @property
    def tls(self) -> str:
        """The TLS door."""
        return f"https://localhost:{self.gateway.tls_port}"

    def variables(self) -> dict[str, str]:
        """Of whoever types."""
        known = {
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.folder / "user"),
            "LLMAUTH_HOME": str(self.gateway.home),
            "LLMAUTH_CONFIG": str(self.gateway.config),
            "CURL_CA_BUNDLE": str(self._trusted()),
            "SSL_CERT_FILE": str(self._trusted()),
            "KEY": self.gateway.key(),
            "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
        }
        told = {**self._filled(self._world.variables), **self._told}
        return environment(**{**known, **provider_environment(self.emulators), **told})

    def _trusted(self) -> Path:
        file = self.folder / "trusted.pem"
        file.write_bytes(self.gateway.bundle.read_bytes() + self.tls_ca.read_bytes())
        return file

    def text(self, step: Step) -> str:
        """What is typed here for what the page says."""
        text = step.text
        if any(part in text for part in self._world.fails):
            text = f"! ( {text.strip()} )\n"
        for name, instead in self._world.places.items():
            text = text.replace(name, self.filled(instead))
        for name in _TLS + _TLS_NAMED:
            text = text.replace(name, self.tls)
        for name in _TLS_ALONE:
            text = text.replace(name, f"localhost:{self.gateway.tls_port}")
        for name in _PLAIN:
            text = text.replace(name, f"127.0.0.1:{self.gateway.port}")
        text = text.replace("~/.local/state/llmauth", str(self.gateway.home))
        text = text.replace(". .venv/bin/activate\n", "").replace(".venv-clients/bin/python", "python")
        return re.sub(r"(?<![\w/])\.venv/bin/", f"{Path(sys.executable).parent}/", text)

    def close(self) -> None:
        """End the gateway."""
        self.gateway.stop()


def walk(page: Path, world: World, folder: Path, emulators: Emulators) -> tuple[Place, list[str]]:
    """Type everything; each step's output. The test fails where a command does."""
    place = Place(page, folder, emulators, world)
    said = []
    with contextlib.ExitStack() as open_, terminal(place.folder, place.variables()) as reader:
        open_.callback(place.close)
        servers: list[Terminal] = []
        for step in dict.fromkeys(steps(page)):
            if world.leaves(step):
                continue
            if step.serves:
                servers.append(open_.enter_context(_served(place, step)))
            else:
                said.append(reader.run(place.text(step)))
    return place, said


@contextlib.contextmanager
def _served(place: Place, step: Step) -> Iterator[Terminal]:
    """A server of the page's own, on a port and over a state of its own."""
    home = place.folder / f"home-{free_port()}"
    port = free_port()
    own = {"PORT": str(port), "TLS_PORT": str(free_port()), "LLMAUTH_HOME": str(home)}
    with terminal(place.folder, {**place.variables(), **own}) as shell:
        shell.type(place.text(step))
        wait_until_ready(port, shell)
        yield shell
