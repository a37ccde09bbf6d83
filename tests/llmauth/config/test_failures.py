"""Each failure has a status and a sentence, and shows no text of an error that is not ours."""

import pytest

from llmauth.ca import CaError
from llmauth.config.failures import FAILED, MISUSED, explained
from llmauth.config.problems import ConfigError, Place, Problem
from llmauth.errors import BadRequest
from llmauth.storage.home import StateError


@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [
        (ConfigError([Problem(place=Place(source="f", line=2), path="a", message="bad")]), MISUSED, "f:2: a: bad"),
        (BadRequest("Too odd.", hint="Do better.", detail="canary"), FAILED, "Error: Too odd. Do better."),
        (CaError("No authority."), FAILED, "Error: No authority."),
        (StateError("open to others"), FAILED, "Error: open to others"),
        (OSError(2, "No such file", "/a"), FAILED, "Error: /a: No such file"),
        (OSError("canary"), FAILED, "Error: OSError"),
    ],
)
def test_status_and_sentence(error, status, sentence):
    assert explained(error) == (status, sentence)


def test_a_fault_of_ours_is_named_by_its_place_alone():
    with pytest.raises(ValueError) as caught:
        int("canary")
    status, sentence = explained(caught.value)
    assert status == FAILED
    assert sentence.startswith("Internal error: ValueError at config/test_failures.py:")
    assert "canary" not in sentence
