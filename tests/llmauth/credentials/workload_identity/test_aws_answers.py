"""What an answer with keys must hold, and how refusals are told."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from botocore.exceptions import ClientError

from llmauth.credentials.workload_identity.aws_answers import code_in, keys, refusals
from llmauth.secrets import AwsKeys, Secret
from llmauth.sources import SourceFailed, SourceUnavailable

WHOLE = {"AccessKeyId": "ASIA1", "SecretAccessKey": "s", "Token": "t", "Expiration": "2026-11-26T12:00:00Z"}
NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


@pytest.mark.parametrize("ends", ["2026-11-26T12:00:00Z", "2026-11-26T12:00:00", NOON])
def test_keys_and_their_end(ends) -> None:
    loaded = keys(WHOLE | {"Expiration": ends}, "Token", "here", "the agent")
    pair = AwsKeys(access_key_id="ASIA1", secret_access_key=Secret("s"), session_token=Secret("t"))
    assert (loaded.credential, loaded.expires_at, loaded.source) == (pair, NOON.timestamp(), "here")


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        "canary",
        {},
        WHOLE | {"Token": None},
        WHOLE | {"SecretAccessKey": ["canary"]},
        WHOLE | {"Expiration": "canary"},
        WHOLE | {"Expiration": 5},
        WHOLE | {"Token": "canary\r\nX: y"},
    ],
)
def test_an_answer_that_is_not_whole(answer) -> None:
    with pytest.raises(SourceFailed, match=r"^the agent") as caught:
        keys(answer, "Token", "here", "the agent")
    assert "canary" not in caught.value.reason


def test_refusals_are_told_by_their_code_or_class() -> None:
    def told(error: Exception) -> str:
        with pytest.raises((SourceFailed, SourceUnavailable)) as caught, refusals("AssumeRole"):
            raise error
        return str(caught.value)

    assert told(ClientError({"Error": {"Code": "AccessDenied", "Message": "canary"}}, "x")).endswith("AccessDenied")
    assert told(ClientError({"Error": {"Code": "<canary>"}}, "x")) == "AWS refused AssumeRole: unknown"
    assert told(KeyError("canary")) == "AssumeRole gave no credential: KeyError"
    assert told(SourceUnavailable("not here")) == "not here"


def test_codes_of_agents() -> None:
    assert code_in({"code": "AccessDenied"}) == code_in({"Code": "AccessDenied"}) == "AccessDenied"
    none: list[object] = [{}, [], None, {"code": 5}, {"code": "with blanks"}]
    assert [code_in(one) for one in none] == [None] * 5
