"""TokenReview: what is asked, and which answers name an account."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmauth.authenticators.reach import NotReached
from llmauth.authenticators.service_account.claims import claimed
from llmauth.authenticators.service_account.reviews import PATH, Reviews
from llmauth.errors import Unauthenticated
from llmauth.outbound import Answer
from tests.fixtures.accounts import AUDIENCE, unsigned

SUBJECT = "system:serviceaccount:team-a:app"
TOKEN = unsigned({"sub": SUBJECT, "aud": [AUDIENCE]})
GOOD: dict[str, Any] = {"authenticated": True, "user": {"username": SUBJECT}, "audiences": [AUDIENCE]}


class Saying:
    """A cluster that answers what a test says."""

    server = "https://cluster"

    def __init__(self, status: Any, *, code: int = 201, **more: Any) -> None:
        body = {"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "status": status, **more}
        self.answer = Answer(status=code, body=json.dumps(body).encode())
        self.asked: list[Any] = []

    def ask(self, method: str, path: str, told: Any = None) -> Answer:
        self.asked.append((method, path, told))
        return self.answer


def review(cluster: Any) -> str:
    found = claimed(TOKEN)
    assert found is not None
    return Reviews(cluster, AUDIENCE).account(TOKEN, found)


def test_a_review_names_the_account_and_is_for_our_audience() -> None:
    cluster = Saying(GOOD)
    assert review(cluster) == "team-a/app"
    ((method, path, told),) = cluster.asked
    assert (method, path) == ("POST", PATH)
    assert told["spec"] == {"token": TOKEN, "audiences": [AUDIENCE]}


@pytest.mark.parametrize(
    "change",
    [
        {"authenticated": False},
        {"authenticated": "true"},
        {"authenticated": 1},
        {"authenticated": None},
        {"error": "[invalid bearer token]"},
        {"audiences": None},
        {"audiences": []},
        {"audiences": ["vault"]},
        {"audiences": AUDIENCE},
        {"audiences": {AUDIENCE: 1}},
        {"audiences": [[AUDIENCE]]},
        {"audiences": [AUDIENCE.upper()]},
        {"user": None},
        {"user": SUBJECT},
        {"user": {}},
        {"user": {"username": None}},
        {"user": {"username": "system:serviceaccount:team-a:admin"}},
        {"user": {"username": "system:admin"}},
        {"user": {"username": "system:node:x"}},
        {"user": {"username": ""}},
    ],
)
def test_a_review_that_is_not_all_right_names_nobody(change) -> None:
    """A7: our own audience is asked for, and must be in the answer."""
    with pytest.raises(Unauthenticated):
        review(Saying({**GOOD, **change}))


def test_a_review_without_audiences_names_nobody() -> None:
    with pytest.raises(Unauthenticated, match="not valid") as refusal:
        review(Saying({name: value for name, value in GOOD.items() if name != "audiences"}))
    assert refusal.value.reason == "not_allowed"


@pytest.mark.parametrize(
    "cluster",
    [
        Saying(GOOD, code=202),
        Saying(GOOD, code=302),
        Saying(GOOD, code=500),
        Saying(GOOD, code=429),
        Saying(GOOD, kind="Status"),
        Saying(GOOD, kind="SubjectAccessReview"),
        Saying(GOOD, apiVersion="authentication.k8s.io/v1beta1"),
        Saying(None),
        Saying([GOOD]),
        Saying("x"),
    ],
)
def test_what_is_no_review_is_no_word_about_the_caller(cluster) -> None:
    with pytest.raises(NotReached):
        review(cluster)


def test_a_refusal_of_our_own_call_says_which_role_is_missing() -> None:
    with pytest.raises(NotReached, match="system:auth-delegator"):
        review(Saying(None, code=403))
    with pytest.raises(NotReached, match="system:auth-delegator"):
        Reviews(Saying(None, code=403), AUDIENCE).probe()  # type: ignore[arg-type]


def test_the_probe_asks_for_a_review_that_proves_nobody() -> None:
    cluster = Saying({"authenticated": False})
    Reviews(cluster, AUDIENCE).probe()  # type: ignore[arg-type]
    assert TOKEN not in str(cluster.asked)
