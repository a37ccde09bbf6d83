"""AWS STS, read by botocore's own parser and model."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import botocore.session
import pytest
from botocore.parsers import create_parser

from llmauth.authenticators.tokens import Tokens
from llmauth.clock import ManualClock
from llmauth.codecs.base import refuse
from llmauth.errors import BadRequest, Forbidden, GatewayError, InternalError, NotFound, Unauthenticated, Unavailable
from llmauth.http import Response
from llmauth.storage.key_text import new_key
from llmauth.token_hosts.sts import Sts, StsRefusals
from tests.llmauth.token_hosts.conftest import ALICE, Ask

HOST = "sts.us-east-1.amazonaws.com"


@pytest.fixture(scope="module")
def model() -> Any:
    return botocore.session.Session().get_service_model("sts")


def parsed(model: Any, action: str, answer: Response) -> Any:
    raw = {"status_code": answer.status, "headers": {}, "body": answer.body}
    return create_parser("query").parse(raw, model.operation_model(action).output_shape)


@pytest.mark.parametrize("action", ["AssumeRoleWithWebIdentity", "AssumeRole", "GetSessionToken"])
def test_botocore_reads_keys(ask: Ask, tokens: Tokens, clock: ManualClock, model: Any, action: str) -> None:
    answer = Sts().answer(ask(HOST, "/", {"Action": action, "Version": "2011-06-15"}), ALICE, tokens)
    found = parsed(model, action, answer)["Credentials"]
    assert re.fullmatch("ASIA[A-Z0-9]{16}", found["AccessKeyId"])
    assert len(found["SecretAccessKey"]) == 40
    assert found["SessionToken"]
    assert found["Expiration"] == datetime.fromtimestamp(clock.wall() + 3600, UTC)


def test_the_keys_are_the_same_for_everybody(ask: Ask, tokens: Tokens) -> None:
    """They prove nothing, so there is nothing to keep apart."""
    request = ask(HOST, "/", {"Action": "GetSessionToken"})
    bob = replace(ALICE, user="bob", key_id="other")
    assert Sts().answer(request, ALICE, tokens).body == Sts().answer(request, bob, tokens).body


def test_the_keys_end_with_the_caller(ask: Ask, tokens: Tokens, clock: ManualClock, model: Any) -> None:
    short = replace(ALICE, expires_at=clock.wall() + 60)
    answer = Sts().answer(ask(HOST, "/", {"Action": "AssumeRole"}), short, tokens)
    ends = parsed(model, "AssumeRole", answer)["Credentials"]["Expiration"]
    assert ends == datetime.fromtimestamp(clock.wall() + 60, UTC)


@pytest.mark.parametrize(
    ("user", "shown"), [("alice", "alice"), ("a<b>&c\n", "a-b--c-"), ("ü", "--"), ("x" * 99, "x" * 64)]
)
def test_who_one_is(ask: Ask, tokens: Tokens, model: Any, user: str, shown: str) -> None:
    answer = Sts().answer(ask(HOST, "/", {"Action": "GetCallerIdentity"}), replace(ALICE, user=user), tokens)
    found = parsed(model, "GetCallerIdentity", answer)
    assert found["Arn"] == f"arn:aws:sts::000000000000:assumed-role/llmauth/{shown}"
    assert found["Account"] == "000000000000"


@pytest.mark.parametrize("action", ["GetFederationToken", "AssumeRoleWithSAML", "", "assumerole", "<x>"])
def test_other_actions_are_refused(ask: Ask, tokens: Tokens, action: str) -> None:
    with pytest.raises(BadRequest) as caught:
        Sts().answer(ask(HOST, "/", {"Action": action}), ALICE, tokens)
    assert "GetCallerIdentity" in caught.value.sentence
    assert b"<x>" not in refuse(caught.value, StsRefusals(), "r").body


def test_a_secret_in_the_place_of_an_action_is_not_repeated(ask: Ask, tokens: Tokens) -> None:
    """R1: refusals are logged."""
    key = new_key()[1].reveal()
    with pytest.raises(BadRequest) as caught:
        Sts().answer(ask(HOST, "/", {"Action": key}), ALICE, tokens)
    assert key not in caught.value.sentence


@pytest.mark.parametrize(("method", "path"), [("GET", "/?Action=GetCallerIdentity"), ("POST", "/x"), ("PUT", "/")])
def test_nothing_else_is_there(ask: Ask, tokens: Tokens, method: str, path: str) -> None:
    with pytest.raises(NotFound):
        Sts().answer(ask(HOST, path, method=method), ALICE, tokens)


@pytest.mark.parametrize(
    ("error", "code", "kind"),
    [
        (Unauthenticated("No <&> \x00one."), "InvalidClientTokenId", "Sender"),
        (Forbidden("x"), "AccessDenied", "Sender"),
        (BadRequest("x"), "ValidationError", "Sender"),
        (Unavailable("x"), "ServiceUnavailable", "Receiver"),
        (InternalError("x"), "InternalFailure", "Receiver"),
    ],
)
def test_botocore_reads_refusals(model: Any, error: GatewayError, code: str, kind: str) -> None:
    found = parsed(model, "AssumeRole", refuse(error, StsRefusals(), "req_1"))
    assert (found["Error"]["Code"], found["Error"]["Type"]) == (code, kind)
    assert found["Error"]["Message"] == error.sentence.replace("\x00", "?")
    assert found["ResponseMetadata"]["RequestId"] == "req_1"


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1", "us-gov-west-1", "cn-north-1", "eusc-de-east-1"])
def test_its_hosts_are_those_that_botocore_asks(region: str) -> None:
    session = botocore.session.Session()
    asked = set()
    for settings in ("", "true"):
        session.set_config_variable("sts_regional_endpoints", "regional")
        config = botocore.config.Config(use_dualstack_endpoint=bool(settings))
        client = session.create_client("sts", region, aws_access_key_id="a", aws_secret_access_key="b", config=config)
        asked.add(client.meta.endpoint_url.removeprefix("https://"))
    hosts = Sts().hosts(region, "")
    assert asked <= hosts
    assert ("sts.amazonaws.com" in hosts) == (region in ("us-east-1", "eu-west-1"))
    assert (f"sts-fips.{region}.amazonaws.com" in hosts) == region.startswith("us-")
