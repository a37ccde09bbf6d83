"""What is known of a request, stage by stage: the type says how far it came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeVar

from llmauth.addresses import HostPort
from llmauth.rules import NO_RULES, Rules

# A name in the table of `llmauth.providers`, which alone lists them: a further one is no concern of anybody else's.
ProviderType = str
ClientProtocol = Literal["openai", "anthropic"]
Operation = Literal["chat", "responses", "embeddings", "messages", "count_tokens", "models", "model"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One router's answer and why; `took` is in seconds. Log, audit and `explain` print these and add nothing."""

    router: Literal["auth", "mode", "model", "provider", "credential", "vault"]
    input: str
    outcome: str
    reason: str
    took: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who calls: proved by `method`, with the key's public id where there is one. `expires_at` is Unix time.

    Of a session, `session_id` is its own, and the key is the one that it was opened with.

    `second_factor` tells whether one was shown, `factor_due` that one must be before anything is allowed; `rules` are
    those of the key itself.
    """

    user: str
    method: str
    key_id: str | None = None
    key_name: str | None = None
    groups: tuple[str, ...] = ()
    expires_at: float | None = None
    session_id: str | None = None
    second_factor: bool = False
    factor_due: Literal["code", "enrolment"] | None = None
    rules: Rules = NO_RULES


@dataclass(frozen=True, slots=True, kw_only=True)
class TransparentRoute:
    """The native API of one instance. `path` is the provider's own path and query, as it came."""

    instance: str
    path: str
    native: bool  # by the provider's own host, or by a /transparent/ path


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolRoute:
    """A client's own protocol, whoever answers. Without an `instance` the model decides.

    `path` is what came, with its query; `name` is the model that a path names, for the operation `model`.
    """

    protocol: ClientProtocol
    operation: Operation
    path: str
    instance: str | None = None
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvelopeRoute:
    """Bedrock's InvokeModel, asked for by an envelope that holds model and body."""

    path: str
    stream: bool


Route = TransparentRoute | ProtocolRoute | EnvelopeRoute


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a request will be answered. `model` is the upstream's model id where the request names one."""

    instance: str
    provider: ProviderType
    region: str | None = None
    model: str | None = None


@dataclass(frozen=True, kw_only=True)
class RequestContext:
    """A request that has arrived. Times are Unix time and monotonic seconds."""

    request_id: str
    received_at: float
    started: float
    decisions: tuple[Decision, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Authenticated(RequestContext):
    """It is known who sent it."""

    identity: Identity


@dataclass(frozen=True, kw_only=True)
class Routed(Authenticated):
    """It is known where it goes. Cannot be built without an identity, so nothing unauthenticated is ever signed."""

    route: Route
    target: Target


@dataclass(frozen=True, kw_only=True)
class Credentialed(Routed):
    """It was signed, with a credential of this strategy and expiry (Unix time); the secret itself is not kept here."""

    strategy: str
    expires_at: float | None


@dataclass(frozen=True, kw_only=True)
class Carried(Authenticated):
    """It goes to a host that is no provider of ours, in clear text, with no credential of anybody's."""

    destination: HostPort


Stage = TypeVar("Stage", bound=RequestContext)


def advance(context: RequestContext, stage: type[Stage], *decisions: Decision, **more: Any) -> Stage:
    """The context one stage on: all it held, the new fields, and the decisions that led there.

    TypeError when a field of the stage is missing: nothing reaches it half known.
    """
    return _made(stage, context.__dict__, decisions=context.decisions + decisions, **more)


def complete(stage: type[Stage], **held: Any) -> Stage:
    """A context of this stage with these fields, made at once. TypeError when one is missing or there is another."""
    return _made(stage, {}, **held)


def _made(stage: type[Stage], before: Mapping[str, Any], **more: Any) -> Stage:
    made = object.__new__(stage)
    # Past the frozen `__setattr__`, once for all fields: some of these are made for each request.
    held = made.__dict__
    held.update(before, **more)
    if held.keys() != _FIELDS[stage]:
        raise TypeError(f"{stage.__name__} needs exactly {', '.join(sorted(_FIELDS[stage]))}")
    return made


_FIELDS: dict[type[RequestContext], set[str]] = {
    kind: {field.name for field in fields(kind)}
    for kind in (RequestContext, Authenticated, Routed, Credentialed, Carried)
}
