"""What a token claims, judged by what is configured: issuer, times, for whom it is, and who its bearer is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from llmauth.authenticators.base import wrong
from llmauth.authenticators.oidc.options import Claims, OidcOptions
from llmauth.context import Identity

LEEWAY = 60.0
"""Seconds by which the issuer's clock may be ahead of ours."""

_NAME = re.compile(r"[\w.@:/+-]{1,100}")
# Beyond it a number of JSON is not the same to all readers.
_LATEST = 2**53
# RFC 9068, RFC 7519 and what OpenID providers write; other types (`logout+jwt`, `dpop+jwt`) are signed by the same keys
# and prove something else.
_TYPES = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt"})
_SCOPES = frozenset({"scope", "scp"})


def check_header(header: Mapping[str, Any], algorithms: Sequence[str]) -> tuple[str, str | None]:
    """The algorithm and the id of the key that a header names; Unauthenticated for one that asks for anything else.

    `jku`, `x5u`, `jwk` and `x5c` say where the token itself would like its key to come from, and are never looked at.
    """
    alg, kid = header.get("alg"), header.get("kid")
    if not isinstance(alg, str) or alg not in algorithms:
        raise wrong("not_allowed", "an algorithm that is not among `algorithms`")
    if "crit" in header or "b64" in header or "enc" in header or "zip" in header:
        raise wrong("malformed", "the header of the token asks for an extension")
    if "cty" in header:  # RFC 7519: "if a nested JWT, the value MUST be JWT"
        raise wrong("malformed", "a token within a token")
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise wrong("not_allowed", "a token of another type")
    if not isinstance(kid, str | None) or (kid is not None and len(kid) > 256):
        raise wrong("malformed", "the id of the key is no text")
    return alg, kid


def identity_of(claims: Mapping[str, Any], options: OidcOptions, now: float) -> Identity:
    """Who bears a token whose signature was right; Unauthenticated where a claim is missing, wrong or not for us."""
    if claims.get("iss") != options.issuer:
        raise wrong("not_allowed", "another issuer")
    ends = check_times(claims, now)
    _require_for_us(claims, options)
    _require_bearer(claims)
    for name, wanted in options.required.items():
        if not _holds(name, claimed(claims, name), wanted):
            raise wrong("not_allowed", f"the claim '{name}' is not as required")
    return Identity(
        user=user_of(claims, options.claims),
        method=options.type,
        groups=groups_of(claims, options.claims),
        expires_at=ends,
    )


def check_times(claims: Mapping[str, Any], now: float) -> float:
    """The moment at which a token ends, Unix time; Unauthenticated for one that has ended or not begun.

    There is no leeway at the end: the same moment ends the identity in tunnels and in memory.
    """
    ends = moment(claims, "exp")
    if ends is None:
        raise wrong("malformed", "a token without an end")
    if ends <= now:
        raise wrong("expired", "a token")
    for name in ("nbf", "iat"):
        begins = moment(claims, name)
        if begins is not None and begins > now + LEEWAY:
            raise wrong("not_allowed", f"`{name}` of the token is in the future; do the clocks agree?")
    return ends


def moment(claims: Mapping[str, Any], name: str) -> float | None:
    """A claim that is a number of seconds; Unauthenticated for anything else in its place."""
    if name not in claims:
        return None
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LATEST:
        raise wrong("malformed", f"`{name}` of the token is no moment")
    return float(value)


def _require_for_us(claims: Mapping[str, Any], options: OidcOptions) -> None:
    use = claims.get("token_use")
    if use not in (None, "access", "id"):
        raise wrong("not_allowed", "a token of Cognito for another use")
    if "aud" in claims:
        audience = claims["aud"]
        named = [audience] if isinstance(audience, str) else audience
        if not isinstance(named, list) or not all(isinstance(each, str) for each in named):
            raise wrong("malformed", "`aud` of the token is no text and no list of texts")
        if not set(named) & set(options.audience):
            raise wrong("not_allowed", "a token for somebody else: its `aud` is not among `audience`")
    # Cognito's access tokens name no audience, and the application they were issued to in its place.
    elif use != "access" or claims.get("client_id") not in options.client_ids:
        raise wrong("not_allowed", "a token without `aud`, of no application among `client_ids`")


def _require_bearer(claims: Mapping[str, Any]) -> None:
    if "cnf" in claims:  # RFC 7800: whoever shows it must prove to hold a key, and as a bearer nobody did
        raise wrong("not_allowed", "a token that is bound to a key or a certificate")
    if "events" in claims:
        raise wrong("not_allowed", "a message about a user, and no token of one")


def _holds(name: str, value: object, wanted: object) -> bool:
    if isinstance(value, list):
        return any(_same(each, wanted) for each in value)
    if name in _SCOPES and isinstance(value, str):
        return wanted in value.split(" ")
    return _same(value, wanted)


def _same(value: object, wanted: object) -> bool:
    return type(value) is type(wanted) and value == wanted  # to Python, True is 1


# ---- the user --------------------------------------------------------------------------------------------------------


def claimed(claims: Mapping[str, Any], path: str) -> object:
    """The claim of this exact name (`cognito:groups`), else at this path (`realm_access.roles`); `None` without one."""
    if path in claims:
        return claims[path]
    value: object = claims
    for step in path.split("."):
        if not isinstance(value, dict) or step not in value:
            return None
        value = value[step]
    return value


def user_of(claims: Mapping[str, Any], options: Claims) -> str:
    """The user; Unauthenticated where there is none, or a name that cannot be one."""
    user = claimed(claims, options.user)
    if not isinstance(user, str) or not _NAME.fullmatch(user):
        raise wrong("not_allowed", f"the claim '{options.user}' of the token is no name of a user")
    # Where people choose their own address, they could choose somebody else's.
    verified = claims.get("email_verified", True)
    if options.user == "email" and verified is not True and verified != "true":
        raise wrong("not_allowed", "an address that its issuer has not verified")
    return user


def groups_of(claims: Mapping[str, Any], options: Claims) -> tuple[str, ...]:
    """The groups, a list or a text with blanks or commas between them.

    Unauthenticated for a name that cannot be one: left out, a group that is allowed less than others would be as well.
    """
    told = claimed(claims, options.groups)
    if told is None:
        return ()
    groups = [each for each in re.split(r"[\s,]+", told) if each] if isinstance(told, str) else told
    if not isinstance(groups, list) or not all(isinstance(each, str) and _NAME.fullmatch(each) for each in groups):
        raise wrong("not_allowed", f"the claim '{options.groups}' of the token holds what is no name of a group")
    return tuple(dict.fromkeys(groups))
