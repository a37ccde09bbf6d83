from __future__ import annotations

import pytest

from llmauth.cli.explained import explained
from llmauth.hindsight.facts import own, whole
from llmauth.hindsight.remembered import Body, Refusal
from tests.llmauth.hindsight.requests import DECISIONS, remembered


def lines(**more) -> list[str]:
    return list(explained(whole(remembered(**more), lambda _: "group LLM-Users")))


def one(label: str, every: list[str]) -> str:
    (found,) = [line for line in every if line.startswith(label)]
    return found.removeprefix(label).strip()


def test_the_six_decisions_are_told_in_their_order_with_their_times() -> None:
    told = lines()
    assert told[0] == "req_91c2aaaa   the provider's: req_theirs"
    assert "alice" in told[1]
    assert "POST api.openai.com /v1/chat/completions" in told[1]
    assert [line[:8].rstrip() for line in told[3:9]] == [
        "1 auth",
        "2 mode",
        "3 model",
        "4 provid",
        "5 creds",
        "6 vault",
    ]
    assert one("1 auth", told).startswith("alice via the tunnel's proof (api_key ci)")
    assert one("1 auth", told).endswith("0.02 ms")
    assert one("3 model", told).startswith('gpt-5-mini, as the body says, allowed by rule "gpt-5*" of group LLM-Users')
    assert one("5 creds", told).startswith(
        "vault (hashicorp) from secret/data/openai, age 00:41:10, refresh in 00:18:50"
    )
    assert one("6 vault", told).startswith("hashicorp secret/data/openai")


def test_header_changes_are_told_by_name() -> None:
    told = lines()
    assert one("headers", told) == (
        "-proxy-authorization(proof) -authorization(placeholder) +x-request-id +x-api-key(real) +x-amz-date ~host"
    )
    assert one("body", told) == "unchanged, 71 B"
    assert one("body", lines(body=Body(71, 1234, False, "ab41"))) == "71 B came, 1.2 kB sent, sha256 ab41"
    assert one("limits", told) == "user:alice 60 requests a minute, $40 a day"
    assert one("times", told) == "proxy 3 ms, connect 20 ms, upstream 1.4 s, first byte after 900 ms, all 1.5 s"


def test_what_is_as_before_is_said() -> None:
    told = lines(as_before=("auth", "mode"))
    assert one("1 auth", told).endswith("0.02 ms as before")
    assert not one("5 creds", told).endswith("before")
    assert told[-1].startswith("as before: decided for an earlier request")


@pytest.mark.parametrize(
    ("code", "by"),
    [
        ("model_not_allowed", "the caller's rules, after 3 model"),
        ("credential_unavailable", "5 creds"),
        ("rate_limit_exceeded", "the caller's limits, before 5 creds"),
        ("unheard_of", "the gateway"),
    ],
)
def test_a_refusal_says_who_why_and_what_to_do(code: str, by: str) -> None:
    refusal = Refusal(code, "policy", "Model x is not allowed.", "Allowed: y.", "policy: models", None, None)
    told = lines(refusal=refusal, status=403, lent=None, decisions=DECISIONS[:4])
    assert one("refused", told) == f"403 {code}, fault policy, by {by}"
    assert (one("told", told), one("to do", told), one("log", told)) == (
        "Model x is not allowed.",
        "Allowed: y.",
        "policy: models",
    )
    assert one("5 creds", told) == "not reached"


def test_a_caller_that_is_not_let_in_is_told_in_the_words_of_the_log() -> None:
    refusal = Refusal("invalid_api_key", "caller", "Not valid.", "", "", "bad_key", "9c1e")
    told = lines(refusal=refusal, status=407, identity=None, decisions=DECISIONS[:1], lent=None, target=None)
    assert any(line.strip() == "auth_failed reason=bad_key source=10.2.3.4 fp=9c1e" for line in told)
    assert one("1 auth", told).startswith("refused: ")


def test_refused_before_any_router_says_so() -> None:
    refusal = Refusal("misdirected", "caller", "No.", "", "", None, None)
    told = lines(refusal=refusal, status=421, decisions=(), identity=None, target=None, lent=None)
    assert one("refused", told).endswith("by the screening, before any router")


def test_a_providers_own_refusal_is_no_one_of_ours() -> None:
    assert one("answer", lines(status=429)) == "the provider's own 429, passed on"
    assert one("answer", lines(status=499)) == "the client left"


def test_a_caller_is_not_told_what_it_may_not_know() -> None:
    told = list(explained(own(remembered())))
    assert not any(line.startswith(("5 creds", "6 vault")) for line in told)


def test_nothing_reaches_the_terminal_raw() -> None:
    evil = lines(path="/\x1b[31m\r\n", asked="\x1b]0;x\x07", provider_request_id="a\nb", source="\u202e")
    assert all(line.isprintable() for line in evil)
