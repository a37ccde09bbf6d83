"""Who an ARN of AWS is here: people of Identity Center by their own name, all others by one that no person can have."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from llmauth.authenticators.base import wrong

_ARN = re.compile(
    r"arn:aws(?:-[a-z]{1,10}){0,3}:(?P<service>sts|iam)::(?P<account>[0-9]{12}):(?P<resource>[!-~]{1,1000})", re.ASCII
)
_WORD = r"[\w+=,.@-]"
_ROLE = re.compile(rf"assumed-role/(?P<role>{_WORD}{{1,64}})/(?P<session>{_WORD}{{2,64}})", re.ASCII)
_USER = re.compile(rf"user/(?:[!-~]+/)?(?P<name>{_WORD}{{1,64}})", re.ASCII)
_RESERVED = "AWSReservedSSO_"
_PERMISSION_SET = re.compile(rf"{_RESERVED}(?P<set>{_WORD}{{1,32}})_[0-9a-f]{{16}}", re.ASCII)
# What users and groups may be called wherever this server keeps or prints them.
_NAME = re.compile(r"\w[\w.@:/+-]{0,99}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """A user of ours, and its groups: a permission set, or `role/` and the name of another role."""

    user: str
    groups: tuple[str, ...]


def principal(arn: str, *, accounts: Collection[str], roles: Sequence[str] | None) -> Principal:
    """Who this is. Unauthenticated for another account, another role than `roles` (globs), root, and unknown forms.

    A role that is none of Identity Center's is one user, whatever its sessions are called: whoever may assume it
    chooses that name. Its name here begins with `role/`, that of an IAM user with `iam/`, both with the account; the
    name of a session has no slash, so that no person of Identity Center can be called like that.
    """
    match = _ARN.fullmatch(arn)
    if match is None:
        raise wrong("malformed", "aws_iam: AWS named a principal in a form that is not known here")
    account, resource = match["account"], match["resource"]
    if account not in accounts:
        raise wrong("not_allowed", f"aws_iam: account {account} is not among `accounts`")
    if match["service"] == "sts":
        found = _of_session(account, _ROLE.fullmatch(resource))
    else:
        found = _of_user(account, _USER.fullmatch(resource))
    if found is None or not all(map(_NAME.fullmatch, (found.user, *found.groups))):
        # Root, the sessions of GetFederationToken, whose name their maker chooses, and names that no user can have.
        raise wrong("not_allowed", f"aws_iam: a principal of account {account} that is nobody here: {arn}")
    # By the group, so that no role of another's making passes for a permission set of the same name.
    if roles is not None and not any(fnmatchcase(group, glob) for group in found.groups for glob in roles):
        raise wrong("not_allowed", f"aws_iam: {arn} is not among `roles`")
    return found


def _of_session(account: str, match: re.Match[str] | None) -> Principal | None:
    if match is None:
        return None
    role, session = match["role"], match["session"]
    if role.startswith(_RESERVED):
        named = _PERMISSION_SET.fullmatch(role)
        return named and Principal(user=session, groups=(named["set"],))
    return Principal(user=f"role/{account}/{role}", groups=(f"role/{role}",))


def _of_user(account: str, match: re.Match[str] | None) -> Principal | None:
    return match and Principal(user=f"iam/{account}/{match['name']}", groups=())
