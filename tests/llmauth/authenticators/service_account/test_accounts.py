"""Service accounts: names, the list of those let in, and who they are."""

from __future__ import annotations

import pytest

from llmauth.authenticators.service_account.accounts import account_of, identity_of, is_allowed
from llmauth.errors import Unauthenticated

LIST = ("team-a/app", "team-b/*")


def test_an_account_is_a_user_in_two_groups() -> None:
    identity = identity_of("team-a/app", LIST, 17.0)
    assert (identity.user, identity.method, identity.expires_at) == ("team-a/app", "service_account", 17.0)
    assert identity.groups == ("system:serviceaccounts", "system:serviceaccounts:team-a")


@pytest.mark.parametrize(
    ("account", "fits"),
    [
        ("team-a/app", True),
        ("team-b/any.thing-1", True),
        ("team-a/app2", False),
        ("team-a/ap", False),
        ("team-a/*", False),
        ("team-b/*", False),
        ("team-b", False),
        ("team-b/", False),
        ("team-bb/x", False),
        ("xteam-b/x", False),
        ("team-b/x/y", False),
        ("team-b/../team-c/x", False),
        ("Team-b/x", False),
        ("*/*", False),
        ("", False),
    ],
)
def test_the_list_is_of_whole_names(account, fits) -> None:
    assert is_allowed(account, LIST) is fits


def test_a_star_of_one_namespace_is_not_one_of_all() -> None:
    with pytest.raises(Unauthenticated) as refusal:
        identity_of("team-c/app", LIST)
    assert refusal.value.reason == "not_allowed"


def test_a_name_that_no_user_can_have_is_refused() -> None:
    with pytest.raises(Unauthenticated):
        identity_of(f"team-b/{'a.' * 50}a", LIST)


@pytest.mark.parametrize(
    ("subject", "account"),
    [
        ("system:serviceaccount:team-a:app", "team-a/app"),
        ("system:serviceaccount:a:b.c-d", "a/b.c-d"),
        ("system:serviceaccount:team-a:app\n", None),
        ("system:serviceaccount:team-a:", None),
        ("system:serviceaccount:team-a:app:x", None),
        ("system:serviceaccount:team-a:-app", None),
        (f"system:serviceaccount:{'a' * 64}:app", None),
        ("system:serviceaccounts:team-a:app", None),
        ("alice", None),
        ("", None),
    ],
)
def test_a_user_name_of_kubernetes_names_an_account(subject, account) -> None:
    assert account_of(subject) == account
