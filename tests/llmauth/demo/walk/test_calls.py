"""The callers' script against emulators on plain HTTP, without any gateway: what it tells is what happened."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import pytest

from llmauth.demo.emulators import Emulators
from llmauth.demo.walk import calls
from llmauth.demo.walk.calls import Watch, masked, told_by
from llmauth.demo.walk.cast import cast
from tests.llmauth.demo.clients import interpreter
from tests.llmauth.demo.walk.samples import PLACE

ALIASES = {"localhost": "api.openai.com", "127.0.0.1": "api.anthropic.com"}


@pytest.fixture(scope="module")
def plain() -> Iterator[Emulators]:
    with Emulators(tls=False, aliases=ALIASES, pace=0.005, tokens=6) as emulators:
        yield emulators


def run(emulators: Emulators, *names: str, lines: Sequence[str] = (), **variables: str) -> list[dict[str, Any]]:
    environ = {
        "PATH": os.environ["PATH"],
        "OPENAI_BASE_URL": f"http://localhost:{emulators.port}/v1",
        "OPENAI_API_KEY": emulators.credentials.openai_key,
        "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{emulators.port}",
        "ANTHROPIC_API_KEY": emulators.credentials.anthropic_key,
    }
    command = [str(interpreter()), "-I", "-X", "utf8", calls.__file__, *names]
    written = "".join(f"{line}\n" for line in lines or [""] * len(names))
    told = subprocess.run(
        command, input=written, env=environ | variables, capture_output=True, check=True, encoding="utf-8"
    )
    return [json.loads(line) for line in told.stdout.splitlines()]


def test_every_call_of_the_cast_has_its_function() -> None:
    assert {step.call for shell in cast(PLACE, curl=True) for step in shell.steps} == calls.CALLS.keys()


def test_tells_what_it_held_and_what_it_got(plain: Emulators) -> None:
    ready, chat, stream, message = run(plain, "openai.chat", "openai.chat_stream", "anthropic.messages_stream")
    assert ready == {"ready": True}
    assert [one["status"] for one in (chat, stream, message)] == [200, 200, 200]
    assert chat["first_token_ms"] is None
    assert 0 < stream["first_token_ms"] < stream["total_ms"] - 10  # five more tokens take 25 ms
    assert message["text"].startswith("Hello from the emulated Claude")
    assert plain.credentials.openai_key not in json.dumps(chat)


def test_variables_are_exported_before_a_call(plain: Emulators) -> None:
    wrong = json.dumps({"OPENAI_API_KEY": "sk-another-key-that-opens-nothing-at-all"})
    _, good, other = run(plain, "openai.chat", "openai.chat", lines=["", wrong])
    assert [good["status"], other["status"]] == [200, 401]


def test_the_model_is_that_of_the_environment(plain: Emulators) -> None:
    run(plain, "openai.chat", OPENAI_MODEL="gpt-4o-mini")
    assert json.loads(plain.requests()[-1].body)["model"] == "gpt-4o-mini"


def test_an_agent_calls_its_tool_and_returns_the_result(plain: Emulators) -> None:
    _, called, answered = run(plain, "agent.tool_call", "agent.tool_result")
    assert called["text"] == calls.CALLED
    assert called["first_token_ms"] is not None
    assert answered["text"].startswith("Hello from the emulated OpenAI")
    *_, tool = json.loads(plain.requests()[-1].body)["messages"]
    assert (tool["role"], tool["content"]) == ("tool", calls.RESULT)


def test_an_agent_whose_first_call_failed_has_no_second(plain: Emulators) -> None:
    _, called, answered = run(plain, "agent.tool_call", "agent.tool_result", OPENAI_API_KEY="sk-wrong")
    assert (called["status"], answered["status"]) == (401, None)
    assert answered["error"] is not None


def test_a_refusal_is_told_by_status_and_class_without_the_key(plain: Emulators) -> None:
    wrong = "sk-this-is-not-the-key-of-anybody_at_all"
    _, chat = run(plain, "openai.chat", OPENAI_API_KEY=wrong)
    assert chat["status"] == 401
    assert chat["error"].startswith("AuthenticationError")
    assert wrong not in json.dumps(chat)
    assert chat["request_id"].startswith("req_")


def test_makes_no_call_that_nobody_waits_for(plain: Emulators) -> None:
    plain.clear()
    command = [str(interpreter()), "-I", calls.__file__, "openai.chat"]
    environ = {"PATH": os.environ["PATH"]}
    done = subprocess.run(command, input="", env=environ, capture_output=True, check=True, encoding="utf-8")
    assert json.loads(done.stdout) == {"ready": True}
    assert plain.requests() == ()


def test_the_first_token_is_the_first_that_says_something() -> None:
    watch = Watch()
    assert watch.read(iter(["", None])) == ""
    assert watch.first_token is None
    assert watch.read(iter(["", "Hel", None, "lo"])) == "Hello"
    assert watch.first_token is not None


def test_masks_keys_and_leaves_placeholders() -> None:
    assert masked("sk-placeholder") == "sk-placeholder"
    assert masked("llmauth_AliceAlice_" + "s" * 38) == "llmauth_AliceAlice_…"
    assert masked("x" * 40) == "x" * 8 + "…"


def test_reads_the_status_of_botocores_errors_and_of_refused_tunnels() -> None:
    class ProxyError(Exception):
        pass

    class ClientError(Exception):
        response: ClassVar = {"ResponseMetadata": {"HTTPStatusCode": 403, "HTTPHeaders": {"x-request-id": "req_1"}}}

    outer = RuntimeError("Connection error.")
    outer.__cause__ = ProxyError("407 Proxy Authentication Required")
    assert told_by(outer) == (407, None)
    assert told_by(ClientError()) == (403, "req_1")
    assert told_by(ValueError("200 of them")) == (None, None)
