"""The whole refusal: its status never depends on the shape, its headers are the same in all."""

import inspect
import json

import pytest

from llmauth import errors
from llmauth.codecs.anthropic.errors import REFUSALS as ANTHROPIC
from llmauth.codecs.base import refuse
from llmauth.codecs.converse.errors import REFUSALS as CONVERSE
from llmauth.codecs.gemini.errors import LISTED_REFUSALS
from llmauth.codecs.gemini.errors import REFUSALS as GEMINI
from llmauth.codecs.openai.errors import REFUSALS as OPENAI
from llmauth.errors import GatewayError
from llmauth.screening import METHODS

SHAPES = [OPENAI, ANTHROPIC, CONVERSE, GEMINI, LISTED_REFUSALS]
CLASSES = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, GatewayError)]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_error_in_every_shape_tells_what_it_must(cls, shape):
    error = cls("This was found.", hint="Do that.", detail="for the log")
    response = refuse(error, shape, "req-1")
    assert response.status == cls.status
    assert response.headers.all("content-type") == ["application/json"]
    assert response.headers.all("x-request-id") == ["req-1"]
    assert response.headers.all("x-llmauth-fault") == [cls.fault]
    assert response.headers.all("x-should-retry") == ([] if cls.retryable else ["false"])
    text = json.dumps(json.loads(response.body))
    assert "This was found. Do that." in text
    assert cls.code in text
    assert "for the log" not in text


@pytest.mark.parametrize("cls", [errors.Unauthenticated, errors.SecondFactorRequired])
def test_who_asks_for_credentials_decides_between_401_and_407(cls):
    ours = refuse(cls("No key."), OPENAI, "r", proxy=False)
    assert (ours.status, len(ours.headers.all("www-authenticate"))) == (401, 2)
    assert "proxy-authenticate" not in ours.headers
    proxy = refuse(cls("No key."), OPENAI, "r", proxy=True)
    assert (proxy.status, proxy.headers.all("proxy-authenticate")[0]) == (407, 'Basic realm="llmauth"')
    assert "www-authenticate" not in proxy.headers


def test_at_the_proxys_door_other_refusals_keep_their_status():
    assert refuse(errors.HostNotServed("No."), OPENAI, "r", proxy=True).status == 403


def test_retry_after_is_told_where_waiting_helps():
    assert refuse(errors.RateLimited("Slow.", retry_after=7), OPENAI, "r").headers.all("retry-after") == ["7"]
    assert refuse(errors.Draining("Ends."), OPENAI, "r").headers.all("retry-after") == ["1"]
    assert "retry-after" not in refuse(errors.UpstreamUnreachable("Down."), OPENAI, "r").headers


def test_a_spent_budget_stops_the_retries_of_sdks():
    response = refuse(errors.InsufficientQuota("Spent."), ANTHROPIC, "r")
    assert response.status == 429
    assert response.headers.get("x-should-retry") == "false"
    assert "retry-after" not in response.headers


def test_a_spent_budget_tells_when_it_renews():
    response = refuse(errors.InsufficientQuota("Spent.", retry_after=3600), ANTHROPIC, "r")
    assert response.headers.all("retry-after") == ["3600"]
    assert response.headers.all("x-should-retry") == ["false"]


def test_405_names_the_methods_that_screening_lets_in():
    allowed = refuse(errors.MethodNotAllowed("TRACE."), OPENAI, "r").headers.get("allow")
    assert frozenset(allowed.split(", ")) == METHODS


def test_text_that_is_no_unicode_does_not_break_the_answer():
    body = refuse(errors.NotFound("Path '/\udcff'."), OPENAI, "r").body
    assert body.isascii()
    assert json.loads(body)["error"]["message"] == "Path '/\udcff'."


def test_405_names_the_methods_of_a_path_that_takes_few():
    assert (
        refuse(errors.MethodNotAllowed("PUT.", allow=("GET", "HEAD")), OPENAI, "r").headers.get("allow") == "GET, HEAD"
    )
