from __future__ import annotations

import json
from decimal import Decimal

from llmauth.chat.messages import Usage
from llmauth.context import Target
from llmauth.hindsight.facts import brief, own, own_brief, whole
from llmauth.hindsight.remembered import Body, Refusal
from tests.llmauth.hindsight.requests import remembered

ARN = "arn:aws:bedrock:us-east-1:111122223333:inference-profile/x"


def test_a_line_tells_what_is_known_and_leaves_out_what_is_not() -> None:
    told = brief(remembered())
    assert (told["user"], told["door"], told["host"]) == ("alice", "forward", "api.openai.com")
    assert (told["upstream_ms"], told["overhead_ms"], told["first_byte_ms"], told["ms"]) == (1400, 3, 900, 1500)
    assert (told["input_tokens"], told["cache_read_tokens"], told["output_tokens"]) == (1342, 39_870, 522)
    assert (told["cost"], told["status"], told["stream"]) == ("0.0213", 200, True)
    assert told.keys().isdisjoint({"running", "cut", "code", "bytes_in", "protocol", "unmetered", "cache_write_tokens"})
    running = brief(remembered(status=None, usage=None, cost=None))
    assert running["running"] is True
    assert "status" not in running


def test_a_key_in_a_path_or_a_model_is_not_shown() -> None:
    key = "llmauth_RPUcELc5ad_" + "x" * 38
    told = json.dumps(whole(remembered(path=f"/v1/{key}", asked=key), lambda _: None))
    assert "RPUcELc5ad_xx" not in told
    assert "sk-proj-" not in json.dumps(brief(remembered(path="/v1/sk-proj-abcdefghijklmnopqrstu/x")))


def test_all_is_told_to_the_operator() -> None:
    told = whole(remembered(as_before=("auth",)), lambda _: "group LLM-Users")
    assert [each["router"] for each in told["decisions"]][-2:] == ["credential", "vault"]
    assert told["decisions"][0]["ms"] == 0.02
    assert [each.get("as_before") for each in told["decisions"]] == [True, None, None, None, None, None]
    assert told["headers"]["removed"] == [
        {"name": "proxy-authorization", "was": "proof"},
        {"name": "authorization", "was": "placeholder"},
    ]
    assert told["headers"]["added"] == [
        {"name": "x-request-id"},
        {"name": "x-api-key", "is": "real"},
        {"name": "x-amz-date"},
    ]
    assert told["headers"]["changed"] == ["host"]
    assert told["credential"] == {
        "strategy": "vault (hashicorp)",
        "source": "secret/data/openai",
        "age": 2470,
        "renews_in": 1130,
    }
    assert told["limits"] == [{"of": "user:alice", "rpm": 60, "budget": {"amount": "40", "per": "day"}}]
    assert told["allowed_by"] == {"models": "gpt-5*", "of": "group LLM-Users"}


def test_a_refusal_names_no_rule_that_allowed_it() -> None:
    refusal = Refusal(
        "model_not_allowed", "policy", "Model x is not allowed.", "Allowed: y.", "policy: models", None, None
    )
    told = whole(remembered(refusal=refusal, lent=None, body=Body(9, None, False, "ab41")), lambda _: "default")
    assert told["refusal"] == {
        "code": "model_not_allowed",
        "fault": "policy",
        "message": "Model x is not allowed.",
        "hint": "Allowed: y.",
        "detail": "policy: models",
    }
    assert "allowed_by" not in told
    assert "headers" not in told
    assert told["body"] == {"came": 9, "unchanged": False, "sha256": "ab41"}


def test_its_caller_hears_nothing_of_where_credentials_are_from() -> None:
    refusal = Refusal(
        "credential_rejected", "proxy", "It is not your key.", "Wait.", "denied by account 7", "bad_key", "fp"
    )
    told = own(remembered(refusal=refusal))
    assert [each["router"] for each in told["decisions"]] == ["auth", "mode", "model", "provider"]
    assert told["refusal"].keys() == {"code", "fault", "message", "hint"}
    text = json.dumps(told)
    assert "secret/data" not in text
    assert "hashicorp" not in text
    assert "10.2.3.4" not in text + json.dumps(own_brief(remembered()))


def test_the_number_of_an_account_is_not_its_callers_to_know() -> None:
    one = remembered(target=Target(instance="b", provider="bedrock", model=ARN), asked=ARN.replace(":", "%3A"))
    assert "111122223333" in json.dumps(whole(one, lambda _: None))
    assert "111122223333" not in json.dumps(own(one)) + json.dumps(own_brief(one))


def test_what_no_price_or_token_tells_is_left_out() -> None:
    told = brief(remembered(usage=Usage(input=0, output=0), cost=Decimal(0)))
    assert (told["input_tokens"], told["cost"]) == (0, "0")
