"""What the methods share."""

from typing import get_args

from llmauth.authenticators.base import Presented, Reason, Slot, wrong


def test_wrong_says_one_sentence_and_keeps_the_reason_for_the_log():
    errors = [wrong(reason, "key abc") for reason in get_args(Reason)]
    assert {error.sentence for error in errors} == {"The credential is not valid."}
    assert [error.reason for error in errors] == list(get_args(Reason))
    assert {error.detail for error in errors} == {"key abc"}


def test_a_presented_value_is_not_shown():
    assert "canary" not in repr(Presented(slot=Slot.API_KEY, value="canary"))
