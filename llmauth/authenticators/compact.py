"""A signed token in its compact form, read once and strictly: what was checked is what is used."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

LONGEST = 16 * 1024
DEEPEST = 32
# What begins with a brace begins with this letter. The signature may be empty, so that a token without one is refused
# as what it is, and not taken for a placeholder.
_FORM = re.compile(r"(e[A-Za-z0-9_-]+)\.(e[A-Za-z0-9_-]+)\.([A-Za-z0-9_-]*)")
_SEGMENT = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Compact:
    """The parts of a token. `signed` are the bytes, as they came, that the signature is over."""

    header: Mapping[str, Any] = field(repr=False)
    payload: Mapping[str, Any] = field(repr=False)
    signed: bytes = field(repr=False)
    signature: bytes = field(repr=False)


def issuer_of(text: str) -> str | None:
    """Whom a value names as its issuer, `None` for one that has not the form of a token; nothing of it is believed.

    Costs a fraction of a microsecond for what is no token.
    """
    if not text.startswith("e") or len(text) > LONGEST:
        return None
    form = _FORM.fullmatch(text)
    if form is None:
        return None
    try:
        header, payload = json.loads(_lenient(form[1])), json.loads(_lenient(form[2]))
    except (ValueError, RecursionError):
        return None
    if not isinstance(header, dict) or not isinstance(payload, dict):
        return None
    issuer = payload.get("iss")
    return issuer if isinstance(issuer, str) else None


def read(text: str, *, padded: bool = False) -> Compact:
    """The parts of a token; ValueError for whatever two readers could understand in two ways.

    That is: other characters than base64url's, bits that say nothing, a member twice, a number that is none, text that
    is no UTF-8, and depths that nobody writes. `padded` lets the parts end in the `=` that belongs there, as those of
    AWS's load balancers do.
    """
    if len(text) > LONGEST or not text.isascii():
        raise ValueError("no token")
    head, dot, rest = text.partition(".")
    body, other, tail = rest.partition(".")
    if not dot or not other:
        raise ValueError("not three parts")
    signature = _decoded(tail, padded=padded) if tail else b""
    return Compact(
        header=_object(_decoded(head, padded=padded)),
        payload=_object(_decoded(body, padded=padded)),
        signed=f"{head}.{body}".encode("ascii"),
        signature=signature,
    )


def _lenient(segment: str) -> str:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)).decode("utf-8")


def _decoded(segment: str, *, padded: bool) -> bytes:
    bare = segment.rstrip("=") if padded else segment
    whole = bare + "=" * (-len(bare) % 4)
    if segment not in (bare, whole) or not _SEGMENT.fullmatch(bare):
        raise ValueError("no base64url")
    data = base64.urlsafe_b64decode(whole)
    # Bits of the last character that stand for nothing would let one signature be written in several ways.
    if base64.urlsafe_b64encode(data).decode("ascii") != whole:
        raise ValueError("no canonical base64url")
    return data


def _object(data: bytes) -> Mapping[str, Any]:
    try:
        # As text: of bytes, Python's reader guesses the encoding.
        told = json.loads(
            data.decode("utf-8"), object_pairs_hook=_members, parse_float=_finite, parse_constant=_no_number
        )
    except RecursionError:
        raise ValueError("too deep") from None
    if not isinstance(told, dict):
        raise ValueError("no JSON object")
    _require_shallow(told)
    return told


def _require_shallow(told: object) -> None:
    level = [told]
    for _ in range(DEEPEST):
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return
    raise ValueError("too deep")


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member twice")
    return found


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("no number")
    return number


def _no_number(_: str) -> NoReturn:
    raise ValueError("no number")
