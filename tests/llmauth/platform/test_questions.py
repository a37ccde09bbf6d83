"""Which answer is a cloud's own, judged without a network: a status, fields and a body."""

from __future__ import annotations

from email.message import Message
from typing import Any

import pytest

from llmauth.platform import CLOUDS
from llmauth.platform.questions import QUESTIONS
from tests.llmauth.platform.metadata import TOKEN

GOOGLES = {"Metadata-Flavor": "Google"}


def judged(cloud: Any, status: int, fields: dict[str, str], body: bytes) -> bool:
    message: Message[str, str] = Message()
    for name, value in fields.items():
        message[name] = value
    return QUESTIONS[cloud].is_answered(status, message, body)


def test_every_cloud_has_its_question() -> None:
    assert QUESTIONS.keys() == set(CLOUDS)


@pytest.mark.parametrize(
    ("cloud", "status", "fields", "body", "right"),
    [
        ("aws", 200, {}, TOKEN.encode(), True),
        ("aws", 200, {}, b"", False),
        ("aws", 200, {}, b"OK", False),
        ("aws", 200, {}, b"<html>Welcome to our wireless network</html>", False),
        ("aws", 401, {}, TOKEN.encode(), False),
        ("aws", 200, GOOGLES, TOKEN.encode(), False),
        ("gcp", 200, GOOGLES, b"", True),
        ("gcp", 200, {"metadata-flavor": "Google"}, b"", True),
        ("gcp", 200, {"Metadata-Flavor": "google"}, b"", False),
        ("gcp", 200, {}, b"computeMetadata/", False),
        ("gcp", 403, GOOGLES, b"", False),
        ("azure", 200, {}, b'{"compute": {}}', True),
        ("azure", 200, {}, b'{"compute": "x"}', False),
        ("azure", 200, {}, b"[]", False),
        ("azure", 400, {}, b'{"compute": {}}', False),
        ("oci", 200, {}, b'{"compartmentId": "ocid1"}', True),
        ("oci", 200, {}, b'{"compartmentId": null}', False),
        ("ibm", 200, {}, b'{"access_token": "t"}', True),
        ("ibm", 201, {}, b'{"access_token": "t"}', True),
        ("ibm", 404, {}, b'{"access_token": "t"}', False),
    ],
)
def test_only_the_right_answer_is_one(
    cloud: str, status: int, fields: dict[str, str], body: bytes, right: bool
) -> None:
    assert judged(cloud, status, fields, body) is right
