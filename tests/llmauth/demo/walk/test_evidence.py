"""The judge: every way in which a call can have gone wrong is a problem, and a good one is none."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from llmauth.demo.credentials import DemoCredentials
from llmauth.demo.recorder import Recorded
from llmauth.demo.walk.access import Access
from llmauth.demo.walk.calls import QUESTION
from llmauth.demo.walk.evidence import Outcome, judge, leaked, masked, received_by
from llmauth.demo.walk.shells import Step, saying
from tests.llmauth.demo.walk.samples import ALICE, access, outcome, recorded, refused, shell_of, spoken

CREDENTIALS = DemoCredentials.random()
GOOD = outcome()


REAL = (b"Authorization", f"Bearer {CREDENTIALS.openai_key}".encode())
ID = (b"X-Request-Id", b"req_1")


def judged(
    *arrived: Recorded, of: Outcome = GOOD, step: Step | None = None, line: Access | None = None, **report: Any
) -> tuple[str, ...]:
    seen = replace(of.report, **report)
    return judge(of.shell, step or of.step, seen, line or of.access, arrived, CREDENTIALS).problems


def test_a_good_call_has_no_problem() -> None:
    assert judged(recorded(REAL, ID)) == ()


def test_a_good_refusal_has_no_problem() -> None:
    assert judged(of=refused()) == ()


@pytest.mark.parametrize(
    ("report", "problem"),
    [
        ({"status": 502, "error": "InternalServerError: x"}, "expected status 200, got 502, InternalServerError: x"),
        ({"status": None, "error": "boom"}, "expected status 200, got none, boom"),
        ({"error": "ValueError: cut"}, "ValueError: cut"),
        ({"text": ""}, "the answer was empty"),
    ],
)
def test_what_the_caller_saw_is_judged(report: dict[str, Any], problem: str) -> None:
    assert judged(recorded(REAL, ID), **report) == (problem,)


def test_the_log_must_name_the_caller_and_the_overhead() -> None:
    assert judged(recorded(REAL, ID), line=access(user="bob")) == ("the access log has it under 'bob'",)
    assert "no overhead" in judged(recorded(REAL, ID), line=access(overhead_ms=None))[0]
    nothing = judge(GOOD.shell, GOOD.step, GOOD.report, None, [recorded(REAL, ID)], CREDENTIALS)
    assert nothing.problems == ("the gateway's access log has no line of it",)


def test_the_provider_must_have_met_it_once_with_its_own_credential() -> None:
    foreign = (b"Authorization", b"Bearer sk-somebody-elses-key-that-is-long")
    assert judged() == ("no provider received it",)
    assert judged(recorded(REAL, ID), recorded(REAL, ID)) == ("the providers received it 2 times",)
    assert "which is not its credential" in judged(recorded(foreign, ID))[0]
    assert "another request id" in judged(recorded(REAL, (b"X-Request-Id", b"req_2")))[0]


def test_the_answer_must_be_the_models_own() -> None:
    step = Step(call="openai.chat", answer=saying("OpenAI"))
    assert judged(recorded(REAL, ID), step=step, text=saying("OpenAI")) == ()
    for wrong in ("Hello", saying("OpenAI")[:-1], saying("Claude")):
        assert judged(recorded(REAL, ID), step=step, text=wrong) == (
            f"expected the answer {saying('OpenAI')!r}, got {wrong!r}",
        )


def of_protocol_mode(body: bytes, instance: str = "openai") -> tuple[str, ...]:
    """Bob's SDK of Anthropic's, which OpenAI's gpt-4o answers."""
    one = next(one for one in spoken() if one.step.call == "anthropic.messages_stream")
    line = access(user="bob", instance=instance)
    return judged(recorded(REAL, ID, body=body), of=one, line=line, text=one.step.answer)


def test_in_protocol_mode_the_provider_must_be_asked_in_its_own_format() -> None:
    asked = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": QUESTION}]}).encode()
    assert of_protocol_mode(asked) == ()
    assert of_protocol_mode(asked, "bedrock_us1") == ("bedrock_us1 paid instead of openai",)
    untranslated = json.dumps({"anthropic_version": "x", **json.loads(asked)}).encode()
    assert of_protocol_mode(untranslated) == (
        "the provider received anthropic_version, which OpenAI chat does not have",
    )


def test_what_the_gateway_answers_itself_must_not_reach_anybody() -> None:
    one = next(one for one in spoken() if one.step.ours)
    line = access(user="bob", instance=None, overhead_ms=None)
    assert judged(of=one, line=line, text=one.step.answer) == ()
    assert judged(recorded(REAL, ID), of=one, line=line, text=one.step.answer) == (
        "a provider received the call that the gateway was to answer",
    )


def test_a_refused_call_must_not_reach_anybody() -> None:
    assert judged(recorded(REAL, ID), of=refused()) == ("a provider received the call that was to be refused",)


def test_what_a_caller_held_is_searched_for_in_all_that_arrived() -> None:
    alice, bob = shell_of("alice").variables, shell_of("bob").variables
    assert leaked(alice, [recorded(REAL, ID)]) == []
    assert leaked(alice, [recorded(REAL, (b"X-Odd", ALICE.encode()))]) == ["HTTPS_PROXY"]
    assert leaked(bob, [recorded(REAL, body=bob["LLMAUTH_KEY"].encode())]) == [
        "OPENAI_API_KEY",
        "ANTHROPIC_API_KEY",
        "LLMAUTH_KEY",
    ]


def test_reads_each_kind_of_credential() -> None:
    anthropic = received_by(recorded((b"x-api-key", CREDENTIALS.anthropic_key.encode())), CREDENTIALS)
    assert anthropic.text == f"x-api-key sk-ant-demo-…{CREDENTIALS.anthropic_key[-4:]}"
    assert anthropic.real
    scope = f"Credential={CREDENTIALS.aws_access_key_id}/20260102/eu-west-1/bedrock/aws4_request"
    signature = f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0".encode()
    signed = received_by(recorded((b"Authorization", signature)), CREDENTIALS)
    assert (signed.text, signed.real) == ("SigV4 ASIA… eu-west-1/bedrock", True)
    assert received_by(recorded(), CREDENTIALS).text == "no credential"


def test_a_token_of_googles_is_the_real_one_at_google_alone() -> None:
    token = (b"Authorization", f"Bearer {CREDENTIALS.google_token}".encode())
    there = received_by(recorded(token, host="us-central1-aiplatform.googleapis.com"), CREDENTIALS)
    assert (there.text, there.real) == (f"Bearer ya29.…{CREDENTIALS.google_token[-4:]}", True)
    assert not received_by(recorded(token), CREDENTIALS).real
    assert not received_by(recorded(REAL, host="us-central1-aiplatform.googleapis.com"), CREDENTIALS).real


def test_two_credentials_are_not_the_real_one() -> None:
    assert not received_by(recorded(REAL, (b"x-api-key", b"left-over")), CREDENTIALS).real


def test_a_mask_keeps_no_secret() -> None:
    assert masked(CREDENTIALS.openai_key) == f"sk-demo-…{CREDENTIALS.openai_key[-4:]}"
    assert masked("short-secret") == "shor…"
    assert masked("dash-" * 10) == "…ash-"
