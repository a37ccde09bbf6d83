"""What token services give: a bearer token that can be sent, and the seconds that it lives."""

from __future__ import annotations

import re
from typing import Any

from llmauth.outbound import Answer
from llmauth.secrets import Secret
from llmauth.sources import SourceFailed

_TOKEN = re.compile(r"[\x21-\x7e]+")
# Azure's managed identities have tokens of a day and some minutes, all others less; and a number of another size is no
# length of time.
LONGEST_LIFE = 48 * 3600.0


def token_of(value: object, service: str) -> Secret:
    """A token that can be sent. SourceFailed for anything else."""
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise SourceFailed(f"{service} answered without a token")
    return Secret(value)


def life_of(value: object, service: str) -> float:
    """The seconds that a token lives. SourceFailed for what is no length of time.

    The life, and not the moment of its end, where a service tells both: it does not depend on how two clocks agree.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= LONGEST_LIFE:
        raise SourceFailed(f"{service} answered without the life of its token")
    return float(value)


def told_by(answer: Answer, service: str) -> dict[str, Any]:
    """The object of an answer; an empty one for a refusal without any. SourceFailed where a good answer has none."""
    told = answer.object()
    if told is None and answer.status == 200:
        raise SourceFailed(f"{service} answered something that is no JSON object")
    return told or {}


def granted(told: dict[str, Any], service: str) -> tuple[Secret, float]:
    """The token and its life, as OAuth 2.0 names them (RFC 6749, 5.1)."""
    return token_of(told.get("access_token"), service), life_of(told.get("expires_in"), service)
