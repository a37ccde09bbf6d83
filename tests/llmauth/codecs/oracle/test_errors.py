"""Oracle's error object, member by member."""

import json

import pytest

from llmauth import errors
from llmauth.codecs.oracle.errors import REFUSALS


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.BadRequest("m"), "InvalidParameter"),
        (errors.BodyTooLarge("m"), "InvalidParameter"),
        (errors.Misdirected("m"), "InvalidParameter"),
        (errors.SecondFactorRequired("m"), "NotAuthenticated"),
        (errors.HostNotServed("m"), "NotAllowed"),
        (errors.UnknownInstance("m"), "NotAuthorizedOrNotFound"),
        (errors.RateLimited("m"), "TooManyRequests"),
        (errors.NoCredential("m"), "InternalServerError"),
        (errors.CredentialRejected("m"), "InternalServerError"),
        (errors.UpstreamTimeout("m"), "InternalServerError"),
        (errors.Draining("m"), "ServiceUnavailable"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_code_message_and_request_id(error, code):
    rendered = REFUSALS.render_error(error, "req-1")
    assert json.loads(rendered.body) == {"code": code, "message": "m", "error_code": error.code}
    assert (b"opc-request-id", b"req-1") in rendered.headers  # where the SDK looks for it
