"""R1, R3: a refusal in log and metrics: a fingerprint in place of the value, a reason from a closed set."""

import json
import logging

import pytest

from llmauth.authenticators.base import Presented, Slot, wrong
from llmauth.authenticators.failures import Failures, reason_of
from llmauth.errors import BadRequest, Forbidden, InternalError, Unavailable


def presented(value):
    return Presented(slot=Slot.API_KEY, value=value)


def tell(failures, error, *values):
    failures.tell(
        error, method="api_key", slots="x-api-key", source="10.2.3.4", presented=[presented(value) for value in values]
    )


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (wrong("expired"), "expired"),
        (BadRequest("two"), "doubled"),
        (Forbidden("two"), "conflict"),
        (Unavailable("later"), "unavailable"),
        (InternalError("a fault"), InternalError.code),
    ],
)
def test_every_refusal_has_a_reason_of_one_word(error, reason):
    assert reason_of(error) == reason


def test_a_refusal_is_counted_and_logged_with_its_facts(caplog):
    counted = []
    tell(Failures(lambda *facts: counted.append(facts)), wrong("bad_key", "key 7"), "canary")
    assert counted == [("api_key", "bad_key")]
    (line,) = caplog.records
    assert (line.levelno, line.message) == (logging.WARNING, "auth_failed")
    assert (line.reason, line.method, line.slots, line.source) == ("bad_key", "api_key", "x-api-key", "10.2.3.4")
    assert line.detail == "key 7"
    assert "canary" not in json.dumps(vars(line), default=repr)


def test_nothing_presented_is_no_warning(caplog):
    caplog.set_level(logging.INFO)
    tell(Failures(), wrong("missing"))
    (line,) = caplog.records
    assert (line.levelno, line.fp) == (logging.INFO, "")


def test_a_fingerprint_compares_within_a_run_and_in_no_other(caplog):
    one, other = Failures(), Failures()
    for failures, values in ((one, "a"), (one, "b"), (one, "ab"), (other, "a")):
        tell(failures, wrong("bad_key"), *values)
    a, b, both, elsewhere = (line.fp for line in caplog.records)
    assert both == f"{a}+{b}"
    assert len({a, b, elsewhere}) == 3
    assert len(a) == 8
