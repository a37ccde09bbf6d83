"""Claims as people's providers write them, and names that are none."""

from __future__ import annotations

from typing import Any

import pytest

from llmauth.authenticators.oidc.claims import check_header, check_times, claimed, groups_of, moment, user_of
from llmauth.authenticators.oidc.options import Claims
from llmauth.errors import Unauthenticated


@pytest.mark.parametrize(
    ("told", "groups"),
    [
        (["a", "b"], ("a", "b")),
        ("a b", ("a", "b")),
        ("a,b , c", ("a", "b", "c")),
        ("", ()),
        (" , ", ()),
        ([], ()),
        (["a", "a"], ("a",)),
        (
            ["/team/a", "eu-west-1_x:admins", "role.Read+Write", "Ärzte"],
            ("/team/a", "eu-west-1_x:admins", "role.Read+Write", "Ärzte"),
        ),
    ],
)
def test_groups(told: object, groups: tuple[str, ...]) -> None:
    assert groups_of({"groups": told}, Claims()) == groups


def test_without_groups() -> None:
    assert groups_of({}, Claims()) == ()
    assert groups_of({"groups": None}, Claims()) == ()


@pytest.mark.parametrize(
    "told", [1, True, {}, {"a": 1}, [1], ["a", None], ["Domain Users"], [""], "a;b", ["a\x00"], "x" * 101]
)
def test_what_is_no_group_refuses_the_token(told: object) -> None:
    with pytest.raises(Unauthenticated) as refused:
        groups_of({"groups": told}, Claims())
    assert refused.value.reason == "not_allowed"


def test_a_claim_is_found_by_its_name_or_by_its_path() -> None:
    claims: dict[str, Any] = {
        "cognito:groups": ["a"],
        "https://corp.example/roles": ["b"],
        "realm_access": {"roles": ["c"], "x": {"y": "d"}},
        "a.b": "exact",
        "a": {"b": "nested"},
    }
    assert claimed(claims, "cognito:groups") == ["a"]
    assert claimed(claims, "https://corp.example/roles") == ["b"]
    assert claimed(claims, "realm_access.roles") == ["c"]
    assert claimed(claims, "realm_access.x.y") == "d"
    assert claimed(claims, "a.b") == "exact"
    for path in ("realm_access.nobody", "realm_access.roles.0", "cognito:groups.a", "", ".", "a."):
        assert claimed(claims, path) is None


def test_an_address_that_nobody_verified_is_nobody() -> None:
    claims = Claims(user="email")
    for verified in (True, "true"):
        assert user_of({"email": "a@corp.example", "email_verified": verified}, claims) == "a@corp.example"
    assert user_of({"email": "a@corp.example"}, claims) == "a@corp.example"
    for other in (False, "false", None, 1, "True"):
        with pytest.raises(Unauthenticated):
            user_of({"email": "a@corp.example", "email_verified": other}, claims)


def test_moments() -> None:
    assert moment({"exp": 5}, "exp") == 5.0
    assert moment({"exp": 5.5}, "exp") == 5.5
    assert moment({}, "exp") is None
    for value in (True, "5", None, [5], -1, 2**53 + 1, float("inf"), float("nan")):
        with pytest.raises(Unauthenticated):
            moment({"exp": value}, "exp")


def test_times() -> None:
    assert check_times({"exp": 101}, 100) == 101
    assert check_times({"exp": 101, "nbf": 160, "iat": 160}, 100) == 101
    for claims in ({"exp": 100}, {}, {"exp": 101, "nbf": 161}, {"exp": 101, "iat": 161}):
        with pytest.raises(Unauthenticated):
            check_times(claims, 100)


def test_headers() -> None:
    assert check_header({"alg": "RS256", "kid": "k", "typ": "AT+JWT", "jku": "https://x"}, ["RS256"]) == ("RS256", "k")
    assert check_header({"alg": "RS256"}, ["RS256"]) == ("RS256", None)
