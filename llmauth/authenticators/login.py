"""What a caller sends to exchange a credential for a session, and what it gets."""

from __future__ import annotations

from dataclasses import dataclass, field

from llmauth.authenticators.base import Presented, Slot
from llmauth.codecs.reading import Malformed, parse
from llmauth.errors import BadRequest

LONGEST = 4 * 1024
"""Bytes of a body, of somebody who proved nothing yet."""
_MEMBERS = ("api_key", "totp_code")
_EXAMPLE = 'Send {"api_key": "llmauth_…", "totp_code": "123456"}, or the credential as a header and no body.'


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The credential and the code of a body; where either is missing, the head may have it."""

    form: tuple[Presented, ...] = ()
    code: str | None = field(default=None, repr=False)


def read(body: bytes, source: str) -> Asked:
    """The body of `POST /auth/login`: an object with `api_key`, `totp_code`, both or neither; BadRequest for others."""
    if not body.strip():
        return Asked()
    try:
        members = parse(body)
    except Malformed:
        raise _unreadable("The body is no JSON object.") from None
    if not isinstance(members, dict):
        raise _unreadable("The body is no JSON object.")
    unknown = members.keys() - set(_MEMBERS)
    if unknown or not all(isinstance(value, str) for value in members.values()):
        raise _unreadable(f"The body has other members than the texts {' and '.join(_MEMBERS)}.")
    key, code = members.get("api_key"), members.get("totp_code")
    form = () if key is None else (Presented(slot=Slot.FORM, value=key, source=source),)
    return Asked(form=form, code=code)


def _unreadable(sentence: str) -> BadRequest:
    return BadRequest(sentence, hint=_EXAMPLE, close=True)
