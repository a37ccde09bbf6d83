"""Key headers: the only value of that header, and the rest as it was."""

from llmauth.http import Door, Headers, Request, Url
from llmauth.secrets import Secret
from llmauth.signing import api_key


def test_the_key_replaces_every_older_value():
    url = Url("https", "api.anthropic.com", 443, "/v1/messages")
    fields = ((b"X-API-KEY", b"placeholder"), (b"anthropic-version", b"2023-06-01"), (b"x-api-key", b"second"))
    request = Request(method="POST", url=url, headers=Headers(fields), door=Door.TUNNEL)
    signed = api_key.sign(request, Secret("sk-ant"), header=b"x-api-key")
    assert signed.headers.fields == ((b"anthropic-version", b"2023-06-01"), (b"x-api-key", b"sk-ant"))
