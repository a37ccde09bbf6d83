"""One request as it is remembered: small, frozen, and without a body, a header's value or a secret."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from llmauth.chat.messages import Usage
from llmauth.context import ClientProtocol, Decision, Identity, Operation, Target
from llmauth.governance.policy import Allowance
from llmauth.http import Door


class Refusal(NamedTuple):
    """A refusal of ours. `message` and `hint` are what the client was told, `detail` is for the operator.

    `reason` is why nobody was let in, in one word, and `fp` what the log calls the value that was presented.
    """

    code: str
    fault: str
    message: str
    hint: str
    detail: str
    reason: str | None
    fp: str | None


class Head(NamedTuple):
    """What became of the head of a request: names of fields, as they came and as they were sent.

    `proved` are the slots that were judged, right or wrong; what stood in other ones was a placeholder. `client` is the
    first product of its User-Agent.
    """

    removed: tuple[bytes, ...]
    added: tuple[bytes, ...]
    proved: frozenset[str]
    client: str | None


class Body(NamedTuple):
    """Bytes as they came and as they were sent, None where nobody knows any more; `digest` is the SHA-256 of what was
    sent, where it was counted."""

    came: int | None
    sent: int | None
    unchanged: bool
    digest: str | None


class Lent(NamedTuple):
    """The provider's credential at the moment of its use; stretches in seconds."""

    strategy: str
    source: str
    age: float
    renews_in: float | None
    expires_in: float | None


class Remembered(NamedTuple):
    """A request that is over, or runs where `status` is None. `at` is Unix time, stretches are seconds.

    `passed` tells of protocol mode whether the answer went to the client in the provider's own words. `asked` is the
    model in the client's own words. `as_before` are the routers whose decisions are those of an earlier
    request with the same head on the same connection.
    """

    request_id: str
    at: float
    seconds: float
    door: Door
    method: str
    host: str | None
    path: str
    source: str
    identity: Identity | None
    stage: str
    protocol: ClientProtocol | None
    operation: Operation | None
    passed: bool | None
    asked: str | None
    target: Target | None
    decisions: tuple[Decision, ...]
    as_before: tuple[str, ...]
    status: int | None
    refusal: Refusal | None
    usage: Usage | None
    unmetered: str | None
    cost: Decimal | None
    overhead: float | None
    dial: float | None
    upstream: float | None
    first_byte: float | None
    streamed: bool
    cut: bool
    limit: str | None
    renewed: bool
    carried: tuple[int, int] | None
    provider_request_id: str | None
    head: Head | None
    body: Body | None
    lent: Lent | None
    allowance: Allowance | None
