"""Whatever somebody wrote is an object or nothing."""

import pytest

from llmauth.outbound import Answer
from llmauth.outbound.objects import json_object


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "1", '"a"', "{", b"\xff", "[" * 100_000, '{"a":' * 100_000, "{'a': 1}"]
)
def test_what_is_none(text):
    assert json_object(text) is None


def test_an_object():
    assert json_object('{"a": {"b": [1]}}') == {"a": {"b": [1]}}
    assert Answer(status=200, body=b'{"a": 1}').object() == {"a": 1}
    assert Answer(status=200, body=b"canary").object() is None
