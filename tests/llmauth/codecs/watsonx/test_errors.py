"""IBM's error object, member by member."""

import json

from llmauth import errors
from llmauth.codecs.watsonx.errors import REFUSALS


def test_code_message_trace_and_status():
    rendered = REFUSALS.render_error(errors.CredentialRejected("m", hint="h"), "req-1")
    body = json.loads(rendered.body)
    (error,) = body.pop("errors")
    assert error.pop("more_info").startswith("https://")
    assert error == {"code": "credential_rejected", "message": "m h"}
    assert body == {"trace": "req-1", "status_code": 502}
    assert rendered.headers == ((b"Content-Type", b"application/json"),)
