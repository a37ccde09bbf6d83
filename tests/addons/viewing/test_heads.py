"""Of a head the names are shown, and the values that are no credential, ours or the caller's."""

from __future__ import annotations

import base64

import pytest

from addons.viewing.heads import answer_fields, presented, request_fields, shown_path
from addons.viewing.masks import MASKED, Masks
from llmauth.http import Headers
from llmauth.storage.key_text import new_key

KEY = new_key()[1].reveal()


@pytest.mark.parametrize(
    "name",
    [
        *("Authorization", "x-api-key", "api-key", "x_api_key", "x-goog-api-key", "Proxy-Authorization", "Cookie"),
        *("X-TOTP-Code", "X-Session-Token", "Sec-WebSocket-Protocol", "x-amz-security-token", "X-My-Secret"),
        *(
            "cf-access-client-secret",
            "helicone-auth",
            "x-amz-content-sha256",
            "x-forwarded-client-cert",
            "x-llmauth-key",
        ),
    ],
)
def test_a_field_that_is_called_like_a_credential_is_masked(name: str) -> None:
    fields = ((name.encode(), b"canary"), (b"Accept", b"*/*"))
    assert request_fields(fields, "/", fields, Masks()) == ((name.encode(), MASKED), (b"Accept", b"*/*"))


@pytest.mark.parametrize(
    "field",
    [
        *((b"Host", b"a"), (b"anthropic-version", b"1"), (b"User-Agent", b"x/1"), (b"Sec-WebSocket-Key", b"dGhl")),
        *((b"x-stainless-lang", b"python"), (b"Content-Type", b"application/json")),
    ],
)
def test_other_fields_stay(field: tuple[bytes, bytes]) -> None:
    assert request_fields((field,), "/", (field,), Masks()) == (field,)


def test_what_the_client_did_not_send_is_ours() -> None:
    fields = ((b"x-new", b"injected"), (b"Host", b"api.openai.com"))
    assert request_fields(fields, "/", (), Masks()) == ((b"x-new", MASKED), (b"Host", b"api.openai.com"))


def test_a_key_in_any_field_is_masked() -> None:
    fields = ((b"x-note", f"use {KEY}".encode()), (f"x-{KEY}".encode(), b"1"), (b"Referer", b"https://a/?token=abc"))
    found = request_fields(fields, "/", fields, Masks())
    assert KEY.encode() not in repr(found).encode()
    assert found[2] == (b"Referer", b"https://a/?token=" + MASKED)


def test_answers() -> None:
    fields = (
        (b"Set-Cookie", b"a=canary"),
        (b"x-echo", b"it was canary-known"),
        (b"x-ratelimit-remaining-tokens", b"5"),
        (b"WWW-Authenticate", b"Bearer"),
        (b"x-llmauth-served-by", b"openai"),
        (b"Location", b"https://a/?code=123&x=1"),
    )
    found = answer_fields(fields, Masks([b"canary-known"]))
    assert b"canary" not in b"".join(value for _, value in found)
    assert found[2:5] == fields[2:5]
    assert found[5] == (b"Location", b"https://a/?code=" + MASKED + b"&x=1")


@pytest.mark.parametrize(
    "path",
    [f"/a?key={KEY}&n=1", f"/a/{KEY}?n=1", f"/{KEY.replace('_', '%5F')}", "/a?access_token=canary", "/?q=canary-known"],
    ids=range(5),
)
def test_paths(path: str) -> None:
    found = shown_path(path, Masks([b"canary-known"]))
    assert KEY[10:] not in found
    assert "canary" not in found


def test_what_a_client_presents_is_known() -> None:
    """So that it is found wherever else it stands: in a body, or in an answer that repeats it."""
    coded = base64.b64encode(b"me:pass:word")
    fields = [
        (b"Proxy-Authorization", b"Basic " + coded),
        (b"Authorization", b"Bearer sk-x"),
        (b"Cookie", b"c"),
        (b"a", b"b"),
    ]
    found = set(presented(Headers(fields), "/x?api_key=in-query&n=1"))
    assert {b"Basic " + coded, coded, b"pass:word", b"Bearer sk-x", b"sk-x", b"c", b"in-query"} <= found
    assert b"b" not in found
    assert list(presented(Headers([(b"Authorization", b"Basic !")]), "/"))
