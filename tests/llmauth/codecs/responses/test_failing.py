"""Failures in the middle of a stream, in the words of the API."""

import pytest

from llmauth.codecs.responses import failing
from llmauth.errors import BrokenAnswer, Draining, RateLimited, UpstreamError


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BrokenAnswer("m"), "server_error"),
        (Draining("m"), "server_error"),
        (RateLimited("m"), "rate_limit_exceeded"),
        (UpstreamError("m", cause="rate_limited"), "rate_limit_exceeded"),
        (UpstreamError("m", cause="quota"), "rate_limit_exceeded"),
        (UpstreamError("m", cause="invalid_request"), "invalid_prompt"),
        (UpstreamError("m", cause="content_filter"), "invalid_prompt"),
        (UpstreamError("m", cause="overloaded"), "server_error"),
    ],
)
def test_codes_of_a_failed_response_are_a_closed_set(error, code):
    assert failing.failure(error) == {"code": code, "message": "m"}


def test_an_error_event_holds_the_exact_code_twice():
    told = failing.told(UpstreamError("Spent.", cause="quota", hint="Pay.", param="x"))
    assert told == {
        "code": "insufficient_quota",
        "message": "Spent. Pay.",
        "param": "x",
        "error": {"type": "insufficient_quota", "code": "insufficient_quota", "message": "Spent. Pay.", "param": "x"},
    }
