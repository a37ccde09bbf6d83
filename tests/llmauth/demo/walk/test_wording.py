"""What things are called in the table."""

from __future__ import annotations

import pytest

from llmauth.demo.walk import wording
from llmauth.demo.walk.client import Report
from llmauth.demo.walk.evidence import Received
from llmauth.demo.walk.shells import Step
from tests.llmauth.demo.walk.samples import ALICE, outcome, refused, spoken, widest


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (Step(call="openai.chat_stream"), "OpenAI chat, streamed"),
        (Step(call="bedrock.invoke_model_with_response_stream"), "boto3 invoke_model, streamed"),
        (Step(call="agent.tool_result"), "OpenAI chat, tool's result"),
        (Step(call="openai.chat", status=401, note="no key"), "OpenAI chat, no key"),
    ],
)
def test_names_calls(step: Step, words: str) -> None:
    assert wording.call(outcome(step=step)) == words


def test_no_call_is_wider_than_its_column() -> None:
    assert max(len(wording.call(one)) for one in widest()) == 28


def test_shows_the_placeholder_and_where_there_is_room_the_proxys_key_too() -> None:
    assert wording.held(outcome()) == "sk-placeholder"
    assert wording.held(outcome(), whole=True) == "sk-placeholder + llmauth_Alic…"


def test_shows_the_key_of_the_gateway_where_it_is_what_matters() -> None:
    by_hook = Report(call="", held={"AWS_ACCESS_KEY_ID": "placeholder", "LLMAUTH_KEY": "llmauth_BobBobBobB_…"})
    assert wording.held(outcome(report=by_hook)) == "llmauth_BobB…"
    assert wording.held(refused()) == "llmauth_Alic…"


def test_a_report_without_anything_held_is_shown_all_the_same() -> None:
    assert wording.held(outcome(report=Report(call="", held={}))) == wording.NONE
    assert wording.status(outcome(report=Report(call="", held={}))) == wording.NONE


def test_shortens_keys_inside_of_values() -> None:
    assert wording.variable(f"http://alice:{ALICE}@127.0.0.1:1") == "http://alice:llmauth_Alic…@127.0.0.1:1"


def test_says_why_a_provider_received_nothing() -> None:
    assert wording.received(refused()) == "nothing (invalid_api_key)"
    assert wording.received(refused(), short=True) == "nothing"
    assert wording.paid_by(refused()) == wording.NONE
    assert wording.paid_by(outcome()) == "openai"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/model/us.anthropic.claude%3A0/converse-stream", "…/converse-stream"),
        ("/v1/projects/p/locations/l/publishers/google/models/gemini-2.5-flash:x", "…/gemini-2.5-flash:x"),
        ("/v1/chat/completions", "/v1/chat/completions"),
    ],
)
def test_leaves_out_of_a_path_what_is_long_in_it(path: str, words: str) -> None:
    assert wording.path(outcome(received=Received(text="x", real=True, path=path))) == words


def test_says_in_what_a_call_of_protocol_mode_was_answered() -> None:
    first, *_, last = spoken()
    assert (wording.answered_in(first), wording.door(first)) == (
        "Bedrock Converse",
        "eu.api.openai.com/v1, gpt-4o-mini",
    )
    assert (wording.answered_in(last), wording.path(last)) == ("the proxy itself", "nothing")
    assert wording.door(outcome()) == wording.NONE


@pytest.mark.parametrize(
    ("value", "words"),
    [(None, "–"), (0.4, "0.40 ms"), (9.994, "9.99 ms"), (25.14, "25.1 ms"), (254.4, "254 ms"), (1234.0, "1.2 s")],
)
def test_tells_times(value: float | None, words: str) -> None:
    assert wording.milliseconds(value) == words
