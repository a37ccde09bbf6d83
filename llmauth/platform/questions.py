"""What each cloud's metadata service is asked, and which answer only that one gives."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message

from llmauth.platform import Cloud

MOST = 64 * 1024
_TOKEN = re.compile(rb"[A-Za-z0-9+/=_.-]{16,1024}")

_Judge = Callable[[int, "Message[str, str]", bytes], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One request, and the judgement of its answer by status, fields and the first `MOST` bytes of the body.

    Whatever else listens there (another cloud's service, a captive portal, something that answers 200 to all) must
    not pass.
    """

    method: str
    path: str
    fields: Mapping[str, str]
    is_answered: _Judge
    body: bytes | None = field(default=None)


def _names(member: str, kind: type) -> _Judge:
    """A JSON object that has this member, which no other cloud's answer has."""

    def judge(status: int, fields: Message[str, str], body: bytes) -> bool:
        if status not in (200, 201):
            return False
        content = json.loads(body)
        return isinstance(content, dict) and isinstance(content.get(member), kind)

    return judge


def _is_amazons(status: int, fields: Message[str, str], body: bytes) -> bool:
    return status == 200 and "Metadata-Flavor" not in fields and _TOKEN.fullmatch(body.strip()) is not None


def _is_googles(status: int, fields: Message[str, str], body: bytes) -> bool:
    return status == 200 and fields.get("Metadata-Flavor") == "Google"


QUESTIONS: Mapping[Cloud, Question] = {
    "aws": Question(
        method="PUT",
        path="/latest/api/token",
        fields={"X-aws-ec2-metadata-token-ttl-seconds": "60"},
        is_answered=_is_amazons,
        body=b"",
    ),
    "azure": Question(
        method="GET",
        path="/metadata/instance?api-version=2021-02-01",
        fields={"Metadata": "true"},
        is_answered=_names("compute", dict),
    ),
    "gcp": Question(
        method="GET",
        path="/",
        fields={"Metadata-Flavor": "Google"},
        is_answered=_is_googles,
    ),
    "oci": Question(
        method="GET",
        path="/opc/v2/instance/",
        fields={"Authorization": "Bearer Oracle"},
        is_answered=_names("compartmentId", str),
    ),
    "ibm": Question(
        method="PUT",
        path="/instance_identity/v1/token?version=2022-03-01",
        fields={"Metadata-Flavor": "ibm", "Content-Type": "application/json", "Accept": "application/json"},
        is_answered=_names("access_token", str),
        body=b'{"expires_in": 300}',
    ),
}
