"""What stands around the table."""

from __future__ import annotations

import io
import json
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from llmauth.demo.walk import report
from llmauth.demo.walk.report import CURL, REROUTED_CURL, findings, invite, live, show
from tests.llmauth.demo.walk.samples import ALICE, KEYS, access, outcome, refused, spoken


def printed(*things: Any, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    for thing in things:
        console.print(thing)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def stage() -> Any:
    folder = Path("/a/rather/long/folder/in/which/a/demo/may/have/to/run/llmauth-demo-abcdefgh")
    proxy = SimpleNamespace(log_file=folder / "gateway.log")
    where = {"bundle": folder / "ca-bundle.pem", "config": folder / "gateway.yaml"}
    return SimpleNamespace(port=8080, url="http://127.0.0.1:8080", keys=KEYS, proxy=proxy, **where)


def test_a_good_walk_is_told_in_numbers() -> None:
    text = printed(findings([outcome(), outcome(access=access(overhead_ms=0.6)), refused()]), width=200)
    assert "All 3 calls went as they must: 2 answered, 1 refused" in text
    assert "alice  openai 2" in text
    assert "median 0.50 ms, at most 0.60 ms" in text


def test_a_bad_call_is_named_with_what_was_wrong() -> None:
    text = printed(findings([outcome(problems=("expected status 200, got 502",)), refused()]))
    assert "1 of 2 calls went wrong:" in text
    assert "  alice, OpenAI chat: expected status 200, got 502" in text


def test_a_walk_in_which_nothing_was_sent_has_no_overhead_to_tell() -> None:
    assert "overhead" not in printed(findings([refused()]))


def test_protocol_mode_has_a_table_of_its_own() -> None:
    console = Console(file=io.StringIO(), width=100)
    show(console, [outcome(), *spoken()])
    assert isinstance(console.file, io.StringIO)
    first, second = console.file.getvalue().split("Protocol mode:")
    assert "Bedrock Converse" not in first
    assert "eu.api.openai.com, a host of OpenAI's, which is rerouted" in second.replace("\n", " ")
    assert "OpenAI chat → Bedrock Converse" in second


def test_no_key_is_shown_whole_before_it_is_given_away() -> None:
    console = Console(file=io.StringIO(), width=80)
    show(console, [outcome(), refused()])
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "HTTPS_PROXY=http://alice:llmauth_Alic…@127.0.0.1:8080" in text
    assert ALICE not in text


def test_what_is_to_be_pasted_stays_on_one_line() -> None:
    console = Console(file=io.StringIO(), width=80)
    invite(console, stage())
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().split("\n")
    assert f"  export HTTPS_PROXY=http://alice:{ALICE}@127.0.0.1:8080" in lines
    assert {f"  {CURL}", f"  {REROUTED_CURL}"} <= set(lines)
    assert any("Ctrl-C ends" in line for line in lines)


@pytest.mark.parametrize("line", [CURL, REROUTED_CURL])
def test_a_curl_line_is_one_command(line: str) -> None:
    assert shlex.split(line)[:3] == ["curl", "--cacert", "$SSL_CERT_FILE"]
    assert json.loads(shlex.split(line)[-1])["model"] in ("gpt-4o", "fast")


def test_the_trial_needs_no_more_than_alices_variables() -> None:
    assert report.trial(stage()).keys() == {"HTTPS_PROXY", "SSL_CERT_FILE", "AWS_CA_BUNDLE"}


def test_tells_live_requests_on_one_line() -> None:
    sent = live(access(), "Bearer sk-demo-…Ab12").plain
    assert sent == "03:04:05  alice  200 openai received Bearer sk-demo-…Ab12  overhead 0.40 ms"
    denied = access(status=403, code="host_not_allowed", instance=None, target="example.org:443", overhead_ms=None)
    assert live(denied, None).plain == "03:04:05  alice  403 example.org:443 received nothing, host_not_allowed"
