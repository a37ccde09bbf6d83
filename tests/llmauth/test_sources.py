"""Both ways of saying no carry their reason, and are told apart."""

import pytest

from llmauth.sources import SourceFailed, SourceUnavailable


@pytest.mark.parametrize("kind", [SourceFailed, SourceUnavailable])
def test_the_reason_is_what_is_said(kind):
    refusal = kind("the file is not there")
    assert (refusal.reason, str(refusal)) == ("the file is not there", "the file is not there")


def test_they_are_strangers():
    assert not issubclass(SourceFailed, SourceUnavailable)
    assert not issubclass(SourceUnavailable, SourceFailed)
