"""What a status means where the body of a refusal says nothing more."""

import pytest

from llmauth.codecs.statuses import cause_of, kept
from llmauth.http import Headers


@pytest.mark.parametrize(
    ("status", "cause"),
    [
        (400, "invalid_request"),
        (402, "quota"),
        (404, "not_found"),
        (418, "invalid_request"),
        (429, "rate_limited"),
        (500, "server"),
        (503, "overloaded"),
        (504, "timeout"),
        (529, "overloaded"),
        (599, "server"),
        (302, "server"),
    ],
)
def test_a_status_has_a_cause(status, cause):
    assert cause_of(status) == cause


def test_only_what_tells_when_to_come_back_is_kept():
    headers = Headers([(b"Retry-After", b"7"), (b"Server", b"x"), (b"retry-after-ms", b"70"), (b"Set-Cookie", b"a")])
    assert kept(headers) == ((b"Retry-After", b"7"), (b"retry-after-ms", b"70"))
