"""What all handlers share: base URLs, the binding of the credential, the seam of two paths."""

import pytest

from llmauth.addresses import HostPort
from llmauth.errors import InternalError
from llmauth.http import Door, Headers, Request, Url
from llmauth.providers.base import Verdict, joined, parse_base_url
from llmauth.providers.openai import OpenAIHandler, OpenAIOptions
from llmauth.secrets import ApiKey, Secret

KEY = ApiKey(value=Secret("sk-real"))


def handler(base_url=None):
    return OpenAIHandler("main", OpenAIOptions(base_url=base_url))


def request_to(url):
    return Request(method="POST", url=url, headers=Headers([(b"Host", b"h")]), door=Door.GATEWAY)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://api.openai.com/v1", Url("https", "api.openai.com", 443, "/v1")),
        ("https://API.OpenAI.com:443/v1/", Url("https", "api.openai.com", 443, "/v1")),
        ("https://gw.corp:8443/a/b.c/v1", Url("https", "gw.corp", 8443, "/a/b.c/v1")),
        ("https://gw.corp", Url("https", "gw.corp", 443, "")),
    ],
)
def test_a_base_url_is_taken_apart(text, url):
    assert parse_base_url(text) == url


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("http://api.openai.com/v1", "https"),
        ("api.openai.com", "https"),
        ("ftp://api.openai.com", "https"),
        ("https://user:pw@api.openai.com", "no user"),
        ("https://api.openai.com/v1?x=1", "query"),
        ("https://api.openai.com/v1#x", "fragment"),
        ("https://127.0.0.1/v1", "not an address"),
        ("https://2130706433/", "not an address"),
        ("https://0x7f.1/", "not an address"),
        ("https://[::1]/", "not an address"),
        ("https://", "host"),
        ("https://a..b/", "host"),
        ("https://api.openai.com:0/", "port"),
        ("https://api.openai.com:99999/", "port"),
        ("https://api.openai.com/a/../b", "plain segments"),
        ("https://api.openai.com/./b", "plain segments"),
        ("https://api.openai.com//v1", "plain segments"),
        ("https://api.openai.com/%2e", "plain segments"),
        ("https://api.openai.com\\@evil.example/", "character"),
        ("https://api.openai.com/\n", "character"),
        ("https://äpi.example/", "character"),
    ],
)
def test_s4_any_other_base_url_is_refused_and_says_why(text, why):
    with pytest.raises(ValueError, match=why):
        parse_base_url(text)
    with pytest.raises(ValueError, match=why):  # pydantic's error is one as well
        OpenAIOptions(base_url=text)


def test_unknown_options_are_refused():
    with pytest.raises(ValueError, match="regoin"):
        OpenAIOptions.model_validate({"regoin": "us-east-1"})


def test_s1_a_configured_base_url_is_the_only_place_for_the_credential():
    ours = handler("https://gw.corp:8443/v1")
    assert ours.hosts == {HostPort("gw.corp", 8443)}
    assert not ours.owns(HostPort("api.openai.com", 443))


@pytest.mark.parametrize(
    "url",
    [
        Url("http", "api.openai.com", 443, "/v1/models"),
        Url("https", "api.openai.com", 8443, "/v1/models"),
        Url("https", "api.openai.com", 80, "/v1/models"),
        Url("https", "eu.api.openai.com", 443, "/v1/models"),
        Url("https", "api.openai.com.evil.example", 443, "/v1/models"),
        Url("https", "API.OPENAI.COM", 443, "/v1/models"),
        Url("https", "evil.example", 443, "/@api.openai.com"),
    ],
)
def test_s1_no_credential_is_put_on_a_request_to_another_place(url):
    with pytest.raises(InternalError, match="does not serve"):
        handler().authorize(request_to(url), KEY)


def test_the_host_is_the_one_that_is_signed_for():
    signed = handler("https://gw.corp:8443").authorize(request_to(Url("https", "gw.corp", 8443, "/v1/models")), KEY)
    assert signed.headers.all("host") == ["gw.corp:8443"]


@pytest.mark.parametrize(
    ("base", "path", "result"),
    [
        ("/v1", "/v1/chat/completions", "/v1/chat/completions"),
        ("/v1", "/chat/completions", "/v1/chat/completions"),
        ("/v1", "/v1?x=1", "/v1?x=1"),
        ("/v1", "/v1", "/v1"),
        ("/v1", "/v10/x", "/v1/v10/x"),
        ("/a/v1", "/v1/models", "/a/v1/models"),
        ("", "/v1/messages?beta=true", "/v1/messages?beta=true"),
        ("/a", "/v1/x%2Fy", "/a/v1/x%2Fy"),
        ("/v1", "//v1/x", "/v1//v1/x"),
    ],
)
def test_a_v1_that_both_have_is_written_once(base, path, result):
    assert joined(Url("https", "h", 443, base), path).path == result


def test_a_401_is_about_our_key_and_nothing_else_is():
    ours = handler()
    assert ours.verdict(401, Headers()) is Verdict.REJECTED
    assert {ours.verdict(status, Headers()) for status in (200, 302, 400, 403, 404, 429, 500, 529)} == {Verdict.PASSES}
