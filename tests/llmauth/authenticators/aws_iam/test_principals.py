"""ARNs: who they are, and that no two of them are the same user."""

from __future__ import annotations

import itertools

import pytest

from llmauth.authenticators.aws_iam.principals import principal
from llmauth.errors import Unauthenticated

ACCOUNTS = ("111122223333", "444455556666")


def who(arn: str, roles: tuple[str, ...] | None = None):
    return principal(arn, accounts=ACCOUNTS, roles=roles)


def sso(name: str, *, account: str = ACCOUNTS[0], partition: str = "aws", permission_set: str = "Dev") -> str:
    role = f"AWSReservedSSO_{permission_set}_0123456789abcdef"
    return f"arn:{partition}:sts::{account}:assumed-role/{role}/{name}"


def role(name: str, session: str, account: str = ACCOUNTS[0]) -> str:
    return f"arn:aws:sts::{account}:assumed-role/{name}/{session}"


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov", "aws-iso", "aws-iso-b", "aws-eusc"])
def test_a_person_of_identity_center_is_called_by_its_own_name(partition) -> None:
    found = who(sso("alice@corp.com", partition=partition))
    assert (found.user, found.groups) == ("alice@corp.com", ("Dev",))


def test_a_permission_set_may_have_underscores() -> None:
    assert who(sso("alice", permission_set="My_Set_1")).groups == ("My_Set_1",)


def test_another_role_is_one_user_whatever_its_sessions_are_called() -> None:
    found = who(role("deployer", "alice"))
    assert (found.user, found.groups) == ("role/111122223333/deployer", ("role/deployer",))
    assert who(role("deployer", "bob")) == found


def test_an_iam_user_is_in_no_group() -> None:
    found = who("arn:aws:iam::111122223333:user/people/ops/bob")
    assert (found.user, found.groups) == ("iam/111122223333/bob", ())


def test_no_two_principals_are_the_same_user() -> None:
    """An ordinary role or an IAM user whose name is chosen to be somebody else's."""
    names = ("alice", "role", "iam", "deployer", "Dev")
    arns = [sso(name) for name in names]
    for account in ACCOUNTS:
        arns += [role(name, "session-1", account) for name in names]
        arns += [f"arn:aws:iam::{account}:user/{name}" for name in names]
    users = [who(arn).user for arn in arns]
    assert len(set(users)) == len(arns)
    groups = [set(who(sso("x1", permission_set=name)).groups) for name in names]
    others = [set(who(role(name, "s1")).groups) for name in names]
    assert all(one.isdisjoint(other) for one, other in itertools.product(groups, others))


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:iam::111122223333:root",
        "arn:aws:sts::111122223333:federated-user/alice",
        "arn:aws:sts::999999999999:assumed-role/deployer/s1",
        sso("alice", account="999999999999"),
        "arn:aws:iam::111122223333:role/deployer",
        "arn:aws:sts::111122223333:assumed-role/deployer",
        "arn:aws:sts::111122223333:assumed-role/deployer/s1/alice",
        "arn:aws:sts::111122223333:assumed-role//alice",
        "arn:aws:sts::111122223333:user/alice",
        "arn:aws:iam::111122223333:assumed-role/deployer/s1",
        # of Identity Center by its beginning alone
        role("AWSReservedSSO_Dev", "alice"),
        role("AWSReservedSSO_Dev_0123456789ABCDEF", "alice"),
        role("AWSReservedSSO_Dev_0123456789abcde", "alice"),
        role("AWSReservedSSO_Dev_0123456789abcdef0", "alice"),
        role("AWSReservedSSO__0123456789abcdef", "alice"),
        sso("alice,bob"),
        sso("alice=bob"),
        sso("a"),
        sso("ålice"),
        sso("alice/bob"),
        sso("alice\n"),
        sso("a" * 65),
        role("a,b", "s1"),
        "arn:evil:sts::111122223333:assumed-role/deployer/s1",
        "arn:aws:sts:us-east-1:111122223333:assumed-role/deployer/s1",
        "arn:aws:sts::111122223333 :assumed-role/deployer/s1",
        "arn:aws:sts::1111222233334:assumed-role/deployer/s1",
        "arn:aws:sts::١١١١٢٢٢٢٣٣٣٣:assumed-role/deployer/s1",
        "",
        "alice",
    ],
)
def test_nobody_else_is_let_in(arn) -> None:
    with pytest.raises(Unauthenticated):
        who(arn)


@pytest.mark.parametrize(
    ("arn", "roles", "fits"),
    [
        (sso("alice"), ("Dev",), True),
        (sso("alice"), ("D*",), True),
        (sso("alice"), ("dev",), False),
        (sso("alice"), (), False),
        (role("Dev", "s1"), ("Dev",), False),  # no permission set, though it is called like one
        (role("Dev", "s1"), ("role/Dev",), True),
        (role("ci-build", "s1"), ("role/ci-*",), True),
        ("arn:aws:iam::111122223333:user/bob", ("*",), False),
    ],
)
def test_roles_let_in_by_the_group(arn, roles, fits) -> None:
    if fits:
        assert who(arn, roles).user
    else:
        with pytest.raises(Unauthenticated):
            who(arn, roles)
