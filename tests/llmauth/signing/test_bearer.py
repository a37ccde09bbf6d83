"""Bearer signing: one Authorization, and the rest as it was."""

import pytest

from llmauth.errors import InternalError
from llmauth.http import Door, Headers, Request, Url
from llmauth.secrets import Secret
from llmauth.signing import bearer


def build(*fields):
    url = Url("https", "api.openai.com", 443, "/v1/models")
    return Request(method="GET", url=url, headers=Headers(fields), door=Door.TUNNEL, body=b"bytes")


def test_all_values_go_and_one_comes():
    request = build((b"authorization", b"a"), (b"Accept", b"*/*"), (b"AUTHORIZATION", b"b"), (b"X-Title", b"t"))
    signed = bearer.sign(request, Secret("sk-real"))
    assert signed.headers.fields == ((b"Accept", b"*/*"), (b"X-Title", b"t"), (b"Authorization", b"Bearer sk-real"))
    assert (signed.url, signed.method, signed.body) == (request.url, request.method, request.body)


@pytest.mark.parametrize("value", ["", "sk-real\n", "sk\r\nHost: evil", "sk\x00", "schlüssel"])
def test_a_value_that_no_header_can_carry_is_refused_unshown(value):
    with pytest.raises(InternalError) as caught:
        bearer.sign(build(), Secret(value))
    assert not value or value not in f"{caught.value.sentence} {caught.value.detail} {caught.value!r}"
