"""Claude Code in print mode, as installed from npm: on the Anthropic API, Bedrock and Vertex, with no key of theirs."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from llmauth.demo import anthropic
from llmauth.demo.emulators import Emulators
from tests.e2e.clients import ways
from tests.e2e.clients.node_clients import FOLDER
from tests.e2e.clients.ways import Way
from tests.fixtures.clouds import VERTEX_US
from tests.fixtures.serving import Serving

WRAPPER = FOLDER / "node_modules/@anthropic-ai/claude-code/cli-wrapper.cjs"
QUIET = {"DISABLE_TELEMETRY": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1"}


def claude(home: Path, environ: dict[str, str]) -> str:
    """What it prints for one prompt; AssertionError with its complaint when it fails."""
    node = shutil.which("node")
    if node is None or not WRAPPER.exists():
        pytest.skip("Node or Claude Code is not here; scripts/install --clients-cloud brings Claude Code.")
    done = subprocess.run(
        [node, WRAPPER, "-p", "say hello", "--max-turns", "1"],
        env={"PATH": os.environ["PATH"], "HOME": str(home), **QUIET, **environ},
        cwd=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def trust(gateway: Serving) -> dict[str, str]:
    return {"NODE_EXTRA_CA_CERTS": str(gateway.bundle), "SSL_CERT_FILE": str(gateway.bundle)}


BEDROCK = {"CLAUDE_CODE_USE_BEDROCK": "1", "AWS_REGION": "us-east-1"}
WAYS: dict[str, Way] = {
    "base URL": lambda g: {
        "ANTHROPIC_BASE_URL": ways.plain(g, "/transparent/anthropic"),
        "ANTHROPIC_AUTH_TOKEN": g.key(),
    },
    "proxy, key in the URL": lambda g: {"HTTPS_PROXY": g.proxy(), "ANTHROPIC_API_KEY": "sk-ant-placeholder"},
    "proxy, key in its own slot": lambda g: {"HTTPS_PROXY": g.url, "ANTHROPIC_API_KEY": g.key()},
    "Bedrock, base URL": lambda g: {
        **BEDROCK,
        "ANTHROPIC_BEDROCK_BASE_URL": ways.plain(g, "/transparent/bedrock"),
        "AWS_BEARER_TOKEN_BEDROCK": g.key(),
    },
    "Bedrock, proxy": lambda g: {**BEDROCK, "HTTPS_PROXY": g.proxy(), "AWS_BEARER_TOKEN_BEDROCK": "placeholder"},
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_claude_code_is_answered(gateway: Serving, emulators: Emulators, tmp_path: Path, way: Way) -> None:
    said = claude(tmp_path, {**trust(gateway), **way(gateway)})
    assert said.startswith("Hello from the emulated")
    heads = [one.head for one in emulators.requests()]
    assert heads
    assert not any(gateway.key().encode() in head or b"placeholder" in head for head in heads)


VERTEX = {
    "CLAUDE_CODE_USE_VERTEX": "1",
    "CLAUDE_CODE_SKIP_VERTEX_AUTH": "1",
    "ANTHROPIC_VERTEX_PROJECT_ID": "demo-project",
    "CLOUD_ML_REGION": "us-central1",
}
ON_VERTEX: dict[str, Way] = {
    "base URL": lambda g: {
        "ANTHROPIC_VERTEX_BASE_URL": ways.plain(g, "/transparent/vertex/v1"),
        "ANTHROPIC_CUSTOM_HEADERS": f"X-API-Key: {g.key()}",
    },
    "proxy": lambda g: {"HTTPS_PROXY": g.proxy()},
}


@pytest.mark.parametrize("way", ON_VERTEX.values(), ids=ON_VERTEX)
def test_claude_code_is_answered_on_vertex(clouds: Serving, emulators: Emulators, tmp_path: Path, way: Way) -> None:
    said = claude(tmp_path, {**trust(clouds), **VERTEX, **way(clouds)})
    assert said.startswith("Hello from the emulated")
    seen = emulators.requests(VERTEX_US)
    assert seen
    assert {one.values("authorization")[0] for one in seen} == {f"Bearer {emulators.credentials.google_token}".encode()}
    assert not any(clouds.key().encode() in one.head for one in seen)


def test_only_the_provider_was_asked(gateway: Serving, emulators: Emulators, tmp_path: Path) -> None:
    """Whatever else it calls leads nowhere: no other host is served, and it works all the same."""
    claude(tmp_path, {**trust(gateway), **WAYS["proxy, key in the URL"](gateway)})
    assert {one.sni for one in emulators.requests()} == {anthropic.HOST}
