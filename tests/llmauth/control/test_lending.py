"""What a running proxy tells `llmauth run`, and the session that it lends: whose, how long, and when it is over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llmauth.authenticators.base import Presented, Slot
from llmauth.config.settings import read_settings
from llmauth.control import lending
from llmauth.errors import Forbidden, Unauthenticated
from llmauth.gateway import Gateway

CONFIG = """
instances:
  openai: {type: openai, authentication: {strategies: [{type: environment, variable: MY_KEY}]}}
  us: {type: bedrock, region: us-east-1, default: true}
"""


@pytest.fixture
async def gateway(tmp_path: Path, request: pytest.FixtureRequest):
    (tmp_path / "c.yaml").write_text(CONFIG + getattr(request, "param", ""))
    environ = {"LLMAUTH_HOME": str(tmp_path / "home"), "MY_KEY": "sk-canary-7f3a"}
    made = Gateway(read_settings([tmp_path / "c.yaml"], environ), environ)
    made.start()
    yield made
    made.close()


def who(gateway: Gateway, token: str) -> Any:
    return gateway.plan.callers.sessions.authenticate(Presented(slot=Slot.PROXY, value=token))


async def test_how_programs_reach_it(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    told = lending.served(gateway)
    openai, us = told["instances"]
    assert (openai["hosts"], openai["variables"]) == (["api.openai.com"], ["MY_KEY"])
    assert (us["region"], us["default"]) == ("us-east-1", True)
    assert told["certificate"] == gateway.authority.certificate_pem()
    assert (told["authenticates"], told["runner"]) == (True, None)
    assert "sk-canary-7f3a" not in str(told)
    monkeypatch.setenv(lending.RUNNER, "4711")
    assert lending.served(gateway)["runner"] == 4711


async def test_a_session_is_lent_and_taken_back(gateway: Gateway) -> None:
    lent = await lending.lend(gateway, {"user": "alice", "seconds": 60})
    assert who(gateway, lent["token"]).user == "alice"
    asked = {"id": lent["id"], "user": "alice"}
    assert await lending.take_back(gateway, asked) == {"ended": True}
    with pytest.raises(Unauthenticated):
        who(gateway, lent["token"])
    assert await lending.take_back(gateway, asked) == {"ended": False}


async def test_of_many_runs_none_ends_another(gateway: Gateway) -> None:
    lent = [await lending.lend(gateway, {"user": "alice", "seconds": 60}) for _ in range(25)]
    assert {who(gateway, one["token"]).user for one in lent} == {"alice"}


async def test_it_opens_no_session_that_would_outlive_it(gateway: Gateway) -> None:
    lent = await lending.lend(gateway, {"user": "alice", "seconds": 60})
    with pytest.raises(Forbidden, match="No session is opened by the method 'session'"):
        gateway.plan.callers.sessions.open(who(gateway, lent["token"]))


async def test_both_are_in_the_audit_record_without_the_token(gateway: Gateway) -> None:
    lent = await lending.lend(gateway, {"user": "alice", "seconds": 60})
    await lending.take_back(gateway, {"id": lent["id"], "user": "alice"})
    written = "".join(file.read_text() for file in (gateway.settings.home / "audit").glob("*.jsonl"))
    assert written.count('"session lent"') == written.count('"session taken back"') == 1
    assert lent["token"] not in written


@pytest.mark.parametrize(
    "question",
    [{}, {"user": "a", "seconds": 0}, {"user": "a", "seconds": 1e9}, {"user": 7}, {"user": "a", "seconds": True}],
)
async def test_what_is_no_question_gets_no_session(gateway: Gateway, question: dict[str, Any]) -> None:
    assert "error" in await lending.lend(gateway, question)
    assert "error" in await lending.take_back(gateway, question)


@pytest.mark.parametrize("gateway", ["auth: {require_2fa: true}\n"], indirect=True)
async def test_no_way_around_a_second_factor(gateway: Gateway) -> None:
    """Where all must show one, a session that nobody showed one for would be the way around it."""
    assert "second factor is required" in (await lending.lend(gateway, {"user": "alice", "seconds": 60}))["error"]


async def test_a_name_that_is_none(gateway: Gateway) -> None:
    told = await lending.lend(gateway, {"user": "a\nb", "seconds": 60})
    assert "cannot be the name" in told["error"]


@pytest.mark.parametrize("hosts", ["api.openai.com", {}, None, 7, ["api.openai.com", 7], [None]])
async def test_what_was_to_be_less_than_the_user_never_becomes_all_of_it(gateway: Gateway, hosts: Any) -> None:
    told = await lending.lend(gateway, {"user": "alice", "seconds": 60, "shown_at": hosts})
    assert told == {"error": "shown_at is a list of host names"}


async def test_hosts_that_are_shown_are_all_that_it_may(gateway: Gateway) -> None:
    lent = await lending.lend(gateway, {"user": "alice", "seconds": 60, "shown_at": ["api.openai.com"]})
    rules = who(gateway, lent["token"]).rules
    assert (rules.hosts, rules.models, rules.instances) == (("api.openai.com",), (), ())
