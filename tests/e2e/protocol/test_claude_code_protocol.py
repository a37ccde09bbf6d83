"""Claude Code in print mode, answered by others than Claude: it has a base URL, a key of ours and a model's name."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulators import Emulators
from tests.e2e.clients import ways
from tests.e2e.clients.test_claude_code import QUIET, WRAPPER
from tests.e2e.protocol.providers import PROVIDERS, counted_output
from tests.e2e.protocol.test_sdk_features import SAYS
from tests.fixtures.serving import Serving

NAMES = ("openai", "nova on bedrock", "gemini on vertex", "llama on oracle")


def claude_code(gateway: Serving, home: Path, name: str, *words: str) -> dict[str, Any]:
    """The JSON that it prints for one prompt; AssertionError with its complaint when it fails."""
    node = shutil.which("node")
    if node is None or not WRAPPER.exists():
        pytest.skip("Node or Claude Code is not here; scripts/install --clients-cloud brings Claude Code.")
    one = PROVIDERS[name]
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        **QUIET,
        "ANTHROPIC_BASE_URL": ways.plain(gateway, f"/anthropic/{one.instance}"),
        "ANTHROPIC_AUTH_TOKEN": gateway.key(),
        "ANTHROPIC_MODEL": one.model,
        "ANTHROPIC_DEFAULT_HAIKU_MODEL": one.model,
    }
    done = subprocess.run(
        [node, WRAPPER, "-p", "say hello", "--output-format", "json", *words],
        env=environ,
        cwd=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize("name", NAMES)
def test_it_is_answered(every: Serving, emulators: Emulators, tmp_path: Path, name: str) -> None:
    """With all of its own tools, and with the usage that the provider counted."""
    one = PROVIDERS[name]
    told = claude_code(every, tmp_path, name, "--max-turns", "1")
    assert told["result"].startswith(SAYS)
    assert (told["is_error"], told["subtype"]) == (False, "success")
    (seen,) = emulators.requests(one.host)
    assert told["usage"]["output_tokens"] == counted_output(seen.sent_body)
    assert list(told["modelUsage"]) == [one.model]
    assert every.key().encode() not in seen.head + seen.body


@pytest.mark.parametrize("name", NAMES)
def test_it_runs_a_tool_and_gives_its_result_back(
    every: Serving, emulators: Emulators, tmp_path: Path, name: str
) -> None:
    """The emulated model asks for a shell command that does not exist, and is told so."""
    one = PROVIDERS[name]
    emulators.behave(one.host, Behaviour(call_tool=True), times=1)
    told = claude_code(every, tmp_path, name, "--max-turns", "3", "--tools", "Bash", "--allowedTools", "Bash")
    assert told["result"].startswith(SAYS)
    assert told["num_turns"] == 2
    first, second = emulators.requests(one.host)
    assert b"not found" in second.body
    assert b"not found" not in first.body
    assert told["usage"]["output_tokens"] == sum(counted_output(seen.sent_body) for seen in (first, second))


def test_a_model_of_openais_that_does_not_think_is_not_asked_to(
    every: Serving, emulators: Emulators, tmp_path: Path
) -> None:
    """It asks every model for an effort and names its user at length; OpenAI refuses both of GPT-4o."""
    claude_code(every, tmp_path, "openai", "--max-turns", "1")
    (seen,) = emulators.requests("api.openai.com")
    sent = json.loads(seen.body)
    assert "reasoning_effort" not in sent
    assert len(sent["user"]) == 64
