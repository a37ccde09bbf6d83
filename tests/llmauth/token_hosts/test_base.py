"""A8, B2: what is read of an exchange, from whom, and what is a refusal before anything is answered."""

from __future__ import annotations

import json

import pytest

from llmauth.authenticators.base import Slot
from llmauth.codecs.base import refuse
from llmauth.errors import BadRequest, Forbidden, GatewayError, InternalError, Unauthenticated, Unavailable
from llmauth.http import Headers, Request
from llmauth.storage.key_text import new_key
from llmauth.token_hosts.base import (
    LONGEST_UNPROVED,
    OAuthRefusals,
    body_length,
    granted,
    key_may_follow,
    keys_in,
    parameters,
    require_grant,
)
from llmauth.token_hosts.iam import Iam
from llmauth.token_hosts.sts import Sts
from tests.llmauth.token_hosts.conftest import Ask

IBM, PATH = "iam.cloud.ibm.com", "/identity/token"


def headed(request: Request, *fields: tuple[bytes, bytes]) -> Request:
    """The head alone, with these fields in the place of all that tell of a body."""
    kept = request.headers.without(frozenset({b"content-length", b"transfer-encoding"}))
    return request.altered(headers=kept.adding(*fields), body=b"")


def test_query_and_form_are_read_together(ask: Ask) -> None:
    request = ask(IBM, f"{PATH}?a=1%202&b=", {"c": "ü&="})
    assert parameters(request) == {"a": "1 2", "b": "", "c": "ü&="}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (PATH, b"a=1&a=1"),
        (PATH, b"a=1&b=2&%61=3"),
        (f"{PATH}?a=1", b"a=2"),
        (f"{PATH}?a=1&a=2", b""),
        (PATH, b"a=%ff"),
        (PATH, b"&".join(b"a%d=1" % n for n in range(65))),
    ],
)
def test_what_two_readers_could_read_in_two_ways_is_refused(ask: Ask, path: str, body: bytes) -> None:
    """RFC 6749, 3.2."""
    with pytest.raises(BadRequest) as caught:
        parameters(ask(IBM, path, body))
    assert caught.value.close
    assert caught.value.__context__ is None or caught.value.__suppress_context__


@pytest.mark.parametrize("kind", [b"application/json", b"multipart/form-data; boundary=x", b"", b"text/plain"])
def test_a_body_of_another_type_is_refused(ask: Ask, kind: bytes) -> None:
    with pytest.raises(BadRequest):
        parameters(ask(IBM, PATH, b"apikey=x", fields=((b"Content-Type", kind),)))


def test_the_type_may_name_a_charset(ask: Ask) -> None:
    kind = b"Application/X-WWW-Form-URLencoded; charset=utf-8"
    assert parameters(ask(IBM, PATH, b"a=1", fields=((b"Content-Type", kind),))) == {"a": "1"}


def test_keys_stand_in_the_vendors_own_fields(ask: Ask) -> None:
    found = keys_in(Iam(), ask(IBM, PATH, {"apikey": "one", "access_token": "two", "profile_id": "three"}))
    assert [(each.slot, each.value) for each in found] == [(Slot.FORM, "one"), (Slot.FORM, "two")]


def test_an_empty_field_and_another_path_hold_none(ask: Ask) -> None:
    assert keys_in(Iam(), ask(IBM, PATH, {"apikey": ""})) == ()
    assert keys_in(Iam(), ask(IBM, "/elsewhere", {"apikey": "one"})) == ()
    assert keys_in(Sts(), ask("sts.amazonaws.com", "/", {"WebIdentityToken": "theirs"})) == ()


def test_a_short_form_of_known_length_may_bring_a_key(ask: Ask) -> None:
    request = ask(IBM, PATH)
    assert key_may_follow(Iam(), headed(request, (b"Content-Length", str(LONGEST_UNPROVED).encode())))
    assert not key_may_follow(Iam(), headed(request, (b"Content-Length", str(LONGEST_UNPROVED + 1).encode())))
    assert not key_may_follow(Iam(), headed(request, (b"Transfer-Encoding", b"chunked")))
    assert not key_may_follow(Iam(), headed(request)), "in HTTP/2 any body may follow"
    assert not key_may_follow(Iam(), ask(IBM, "/elsewhere"))
    assert not key_may_follow(Iam(), ask(IBM, PATH, method="PUT"))
    assert not key_may_follow(Sts(), ask("sts.amazonaws.com", "/"))


def test_a_length_that_is_not_announced_is_none(ask: Ask) -> None:
    assert body_length(ask(IBM, PATH, b"abc")) == 3
    assert body_length(headed(ask(IBM, PATH))) is None
    assert body_length(headed(ask(IBM, PATH, method="GET"))) == 0
    assert body_length(headed(ask(IBM, PATH, method="GET"), (b"Transfer-Encoding", b"chunked"))) is None


def test_what_is_granted_is_kept_by_no_cache() -> None:
    """RFC 6749, 5.1."""
    answer = granted({"access_token": "x"})
    assert answer.status == 200
    assert answer.headers.get("cache-control") == "no-store"
    assert "access_token" not in repr(answer)


def test_a_grant_is_named_when_it_is_refused() -> None:
    require_grant({"grant_type": "a"}, frozenset({"a", "b"}))
    with pytest.raises(BadRequest) as caught:
        require_grant({"grant_type": "password", "password": "theirs"}, frozenset({"a", "b"}))
    assert "password" in caught.value.message
    assert "theirs" not in caught.value.sentence
    with pytest.raises(BadRequest):
        require_grant({}, frozenset({"a"}))


@pytest.mark.parametrize(
    "value", [new_key()[1].reveal(), "eyJhbGciOiJSUzI1NiJ9.e30.c2ln", "sk-theirs", "a" * 40, "<x>"], ids=range(5)
)
def test_what_is_no_name_of_a_grant_is_not_repeated(value: str) -> None:
    """R1: refusals are logged, and a secret may stand where a name was wanted."""
    with pytest.raises(BadRequest) as caught:
        require_grant({"grant_type": value}, frozenset({"a"}))
    assert value not in caught.value.sentence
    assert "is not answered here" in caught.value.sentence


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (BadRequest("x"), "invalid_request"),
        (BadRequest("x", code="unsupported_grant_type"), "unsupported_grant_type"),
        (Unauthenticated("x"), "invalid_client"),
        (Forbidden("x"), "access_denied"),
        (Unavailable("x"), "temporarily_unavailable"),
        (InternalError("x"), "server_error"),
    ],
)
def test_oauth_errors_have_the_names_of_the_rfc(error: GatewayError, name: str) -> None:
    answer = refuse(error, OAuthRefusals(), "req_1")
    assert answer.status == error.status
    assert isinstance(answer.headers, Headers)
    said = json.loads(answer.body)
    assert (said["error"], said["error_description"], said["request_id"]) == (name, "x", "req_1")
