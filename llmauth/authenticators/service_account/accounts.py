"""Service accounts: their names, which of them are let in, and who each is here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Final

from pydantic import AfterValidator

from llmauth.authenticators.base import wrong
from llmauth.context import Identity

METHOD: Final = "service_account"
PREFIX: Final = "system:serviceaccount:"

# RFC 1123: a namespace is a label, the name of a service account a subdomain.
_LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_NAME = rf"{_LABEL}(?:\.{_LABEL})*"
_ACCOUNT = re.compile(rf"{_LABEL}/{_NAME}")
_ENTRY = re.compile(rf"{_LABEL}/(?:{_NAME}|\*)")
_SUBJECT = re.compile(rf"{PREFIX}(?P<namespace>{_LABEL}):(?P<name>{_NAME})")
# What a user may be called wherever this server keeps or prints it.
_LONGEST = 100


def _entry(text: str) -> str:
    if not _ENTRY.fullmatch(text):
        raise ValueError("wanted a service account as NAMESPACE/NAME, or NAMESPACE/* for all of a namespace")
    return text


Entry = Annotated[str, AfterValidator(_entry)]
"""One entry of `allowed`."""


def account_of(subject: str) -> str | None:
    """`NAMESPACE/NAME` of the user name that Kubernetes gives a service account, `None` for any other."""
    match = _SUBJECT.fullmatch(subject)
    return match and f"{match['namespace']}/{match['name']}"


def is_allowed(account: str, allowed: Sequence[str]) -> bool:
    """Whether an account is on the list, by its name or by its namespace."""
    namespace = account.partition("/")[0]
    return _ACCOUNT.fullmatch(account) is not None and (account in allowed or f"{namespace}/*" in allowed)


def identity_of(account: str, allowed: Sequence[str], ends: float | None = None) -> Identity:
    """Who this account is here; Unauthenticated where it is not let in."""
    if not is_allowed(account, allowed):
        raise wrong("not_allowed", f"the service account {account} is not among `allowed`")
    if len(account) > _LONGEST:
        raise wrong("not_allowed", f"the service account {account} has a longer name than a user may have")
    namespace = account.partition("/")[0]
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
    return Identity(user=account, method=METHOD, groups=groups, expires_at=ends)
