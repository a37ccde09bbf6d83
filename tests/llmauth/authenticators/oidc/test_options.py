"""What may be configured of an issuer."""

from __future__ import annotations

from typing import Any

import pytest

from llmauth.authenticators.oidc.options import Claims, OidcOptions

LEAST = {"type": "oidc", "issuer": "https://idp.example", "audience": ["llm-proxy"]}


def options(**more: Any) -> OidcOptions:
    return OidcOptions.model_validate({**LEAST, **more})


def test_defaults() -> None:
    given = options()
    assert given.algorithms == ("RS256", "ES256")
    assert given.claims == Claims(user="sub", groups="groups")
    assert (given.client_ids, given.required, given.jwks_uri, given.ca_file) == ((), {}, None, None)


def test_one_text_stands_for_a_list() -> None:
    assert options(audience="a", client_ids="b", algorithms="EdDSA").audience == ("a",)


@pytest.mark.parametrize(
    "issuer", ["https://idp.example/realms/a", "https://idp.example:8443/", "http://127.0.0.1:9/x", "http://localhost"]
)
def test_issuers_that_can_be_believed(issuer: str) -> None:
    assert options(issuer=issuer).issuer == issuer


@pytest.mark.parametrize(
    "issuer",
    [
        "http://idp.example",
        "http://127.0.0.1.evil.example",
        "http://localhost@evil.example",
        "https://user:pw@idp.example",
        "https://idp.example?x=1",
        "https://idp.example?",
        "https://idp.example#f",
        "https://",
        "idp.example",
        "ftp://idp.example",
        "https://idp.example:port",
        "https://idp .example",
        "https://idp.example/\n",
        "https://ídp.example",
        "",
        7,
        None,
    ],
)
def test_issuers_that_cannot(issuer: object) -> None:
    with pytest.raises(ValueError):
        options(issuer=issuer)
    if issuer is not None:
        with pytest.raises(ValueError):
            options(jwks_uri=issuer)


@pytest.mark.parametrize("alg", ["none", "None", "HS256", "HS384", "HS512", "ES512", "RS1", "", "rs256", "ES256K"])
def test_algorithms_that_nobody_may_allow(alg: str) -> None:
    with pytest.raises(ValueError):
        options(algorithms=[alg])


def test_a_token_must_be_meant_for_somebody() -> None:
    with pytest.raises(ValueError, match="`audience`"):
        options(audience=[])
    with pytest.raises(ValueError):
        options(audience=[""])
    assert options(audience=[], client_ids=["app"]).client_ids == ("app",)
    with pytest.raises(ValueError):
        options(algorithms=[])


@pytest.mark.parametrize(
    "more", [{"leeway": 600}, {"verify": False}, {"claims": {"user": ""}}, {"claims": {"role": "x"}}]
)
def test_what_is_no_option(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        options(**more)


def test_a_refusal_repeats_nothing() -> None:
    with pytest.raises(ValueError) as refused:
        options(issuer="http://canary-7f3a.example")
    assert "canary" not in str(refused.value)
