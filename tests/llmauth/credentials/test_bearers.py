"""A token that can be sent, and a life that is a length of time; nothing else is believed."""

import json
import math

import pytest

from llmauth.credentials.bearers import LONGEST_LIFE, granted, life_of, token_of, told_by
from llmauth.outbound import Answer
from llmauth.secrets import Secret
from llmauth.sources import SourceFailed


def test_what_a_service_grants():
    told = told_by(Answer(status=200, body=json.dumps({"access_token": "t", "expires_in": 3600}).encode()), "X")
    assert granted(told, "X") == (Secret("t"), 3600.0)


@pytest.mark.parametrize("value", ["", "a b", "a\n", "\u00e9", 7, None, ["t"], True])
def test_what_is_no_token(value):
    with pytest.raises(SourceFailed, match="X answered without a token"):
        token_of(value, "X")


@pytest.mark.parametrize("value", [0, -1, True, "3600", None, math.nan, math.inf, LONGEST_LIFE + 1, 1e300])
def test_what_is_no_length_of_time(value):
    with pytest.raises(SourceFailed, match="X answered without the life of its token"):
        life_of(value, "X")


def test_a_refusal_may_say_nothing_and_a_good_answer_may_not():
    assert told_by(Answer(status=400, body=b"canary"), "X") == {}
    with pytest.raises(SourceFailed, match="X answered something that is no JSON object"):
        told_by(Answer(status=200, body=b"canary"), "X")
