"""AWS errors, read back by botocore's own parser."""

import pytest
from botocore.parsers import create_parser
from botocore.session import get_session

from llmauth import errors
from llmauth.codecs.base import refuse
from llmauth.codecs.converse.errors import REFUSALS


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (errors.BadRequest("m"), "ValidationException"),
        (errors.Unauthenticated("m"), "UnrecognizedClientException"),
        (errors.Forbidden("m"), "AccessDeniedException"),
        (errors.HostNotServed("m"), "AccessDeniedException"),
        (errors.UnknownInstance("m"), "ResourceNotFoundException"),
        (errors.RateLimited("m"), "ThrottlingException"),
        (errors.RateLimited("m", code="insufficient_quota"), "ServiceQuotaExceededException"),
        (errors.NoCredential("m"), "InternalServerException"),
        (errors.CredentialRejected("m"), "InternalServerException"),
        (errors.UpstreamTimeout("m"), "ModelTimeoutException"),
        (errors.Draining("m"), "ServiceUnavailableException"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value,
)
def test_botocore_finds_code_message_and_request_id(error, name):
    response = refuse(error, REFUSALS, "req-1")
    headers = {key.decode().lower(): value.decode() for key, value in response.headers.fields}
    operation = get_session().get_service_model("bedrock-runtime").operation_model("Converse")
    raw = {"status_code": response.status, "headers": headers, "body": response.body}
    parsed = create_parser("rest-json").parse(raw, operation.output_shape)
    assert parsed["Error"] == {"Message": "m", "Code": name}
    assert parsed["ResponseMetadata"]["RequestId"] == "req-1"
    assert parsed["ResponseMetadata"]["HTTPStatusCode"] == error.status
