"""The chain under mitmdump and under mitmweb, in the place of `llmauth serve`; one of each for all tests here."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llmauth.demo.emulators import Emulators
from tests.e2e.stock.web import Web
from tests.e2e.test_security_destinations import OTHERS, OURS, Range
from tests.fixtures.calls import eventually
from tests.fixtures.certificates import listener
from tests.fixtures.serving import CHAIN, Serving, start

TOOLS = ("mitmdump", "mitmweb")


def script(folder: Path) -> Path:
    """A copy of addons/chain.py: whoever writes to that file while these tests run would end their processes."""
    copy = folder / "addons" / "chain.py"
    copy.parent.mkdir(exist_ok=True)
    return Path(shutil.copy(CHAIN, copy))


@pytest.fixture(scope="session")
def shared_emulators() -> Iterator[Emulators]:
    """With strangers beside the providers, which `upstream.resolve` leads to as well."""
    with Emulators(pace=0.002, tokens=12, echo_hosts=OTHERS) as emulators:
        yield emulators


@pytest.fixture(scope="session", params=TOOLS)
def shared_gateway(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, shared_emulators: Emulators
) -> Iterator[Serving]:
    """With a name of its own, both listeners, and a second script that does mischief on demand."""
    folder = tmp_path_factory.mktemp(request.param)
    server, _ = listener(folder)
    mischief = Path(__file__).parent / "mischief.py"
    serving = start(
        folder,
        shared_emulators,
        tool=request.param,
        script=script(folder),
        options=["-s", str(mischief)],
        server={"gateway_hosts": [OURS], **server},
    )
    serving.key()
    yield serving
    serving.stop()


@pytest.fixture
def door(gateway: Serving) -> Serving:
    return gateway


@pytest.fixture
def range_(gateway: Serving, emulators: Emulators) -> Range:
    return Range(gateway, emulators)


@pytest.fixture
def serve(tmp_path: Path, emulators: Emulators) -> Iterator[Callable[..., Serving]]:
    """A gateway of the test's own, under mitmdump unless `tool` says otherwise; its CA is fetched when asked for."""
    running: list[Serving] = []

    def begin(*, trusted: bool = False, tool: str = "mitmdump", **options: Any) -> Serving:
        options.setdefault("script", script(tmp_path))
        serving = start(tmp_path, emulators, tool=tool, wait=trusted, **options)
        running.append(serving)
        eventually(lambda: "Ready on" in serving.log() or serving.process.poll() is not None, timeout=20)
        assert serving.process.poll() is None, serving.log()
        return serving

    yield begin
    for serving in running:
        if serving.process.poll() is None:
            serving.stop(9)


@pytest.fixture(scope="session")
def shared_web(tmp_path_factory: pytest.TempPathFactory, shared_emulators: Emulators) -> Iterator[Web]:
    """mitmweb without any other script, and a way to talk to its API."""
    folder = tmp_path_factory.mktemp("web")
    serving = start(folder, shared_emulators, tool="mitmweb", script=script(folder))
    serving.key()
    yield Web(serving)
    serving.stop()
