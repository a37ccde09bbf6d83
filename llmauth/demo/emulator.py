"""What every emulated provider shares: the call at its door, the answer it gives, and the order in which it judges."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from llmauth.demo.behaviour import Behaviour
from llmauth.demo.credentials import DemoCredentials
from llmauth.demo.http1 import Field, Request
from llmauth.demo.prompt_cache import PromptCache
from llmauth.demo.words import dumps

PAUSE = b""  # in a streamed body: here the model takes the time of one token

JSON: Field = (b"content-type", b"application/json")

# Whatever proves a client to a gateway, or tells of one. A real provider would overlook most of them; here each is a
# leak, and the request that carries it is refused.
_NEVER_UPSTREAM = frozenset(
    {
        b"proxy-authorization",
        b"proxy-connection",
        b"x-totp-code",
        b"x-session-token",
        b"x-api-key",
        b"api-key",
        b"x-goog-api-key",
        b"ocp-apim-subscription-key",
        b"x-amz-date",
        b"x-amz-security-token",
        b"x-amz-content-sha256",
        b"x-content-sha256",
        b"opc-obo-token",
    }
)
_GATEWAY_KEY = b"llmauth_"
_NEVER_IN_QUERY = frozenset({"key", "api_key", "api-key", "access_token", "oauth_token", "subscription-key"})


@dataclass(slots=True, kw_only=True)
class Setting:
    """What may change while the emulators run: the credentials that are good, the pace, the length of an answer."""

    credentials: DemoCredentials
    pace: float = 0.02  # seconds a token
    tokens: int = 24
    wall: Callable[[], float]
    prompts: PromptCache = field(default_factory=PromptCache)


@dataclass(frozen=True, slots=True)
class Call:
    """A request at an emulator's door, with the behaviour that its answer shall have and how many tokens are usual."""

    host: str
    request: Request
    behaviour: Behaviour
    usual_tokens: int
    prompts: PromptCache = field(default_factory=PromptCache)

    @property
    def path(self) -> str:
        """The path as it stands on the wire, without the query."""
        return self.request.head.target.partition(b"?")[0].decode("ascii")

    @property
    def query(self) -> str:
        """The query as it stands on the wire, without its question mark."""
        return self.request.head.target.partition(b"?")[2].decode("ascii")

    @property
    def method(self) -> str:
        """The method; a HEAD is answered as a GET, and the server drops the body."""
        method = self.request.head.method.decode("ascii")
        return "GET" if method == "HEAD" else method

    def header(self, name: bytes) -> str | None:
        """A header by its lower-case name."""
        value = self.request.head.index.get(name)
        return None if value is None else value.decode("utf-8", "replace")

    def tokens(self, limit: int | None) -> int:
        """How many tokens to say when the request allows `limit`."""
        wanted = self.usual_tokens if self.behaviour.tokens is None else self.behaviour.tokens
        return wanted if limit is None else min(wanted, limit)

    def fails_at(self, token: int) -> bool:
        """Whether the stream shall fail instead of saying this token."""
        return self.behaviour.fail_after is not None and token >= self.behaviour.fail_after


@dataclass(slots=True)
class Answer:
    """What is sent back; an iterator is a stream, in which PAUSE stands for the time of a token."""

    status: int
    fields: list[Field]
    body: bytes | Iterator[bytes]


@dataclass(slots=True)
class Switch(Answer):
    """A 101, after which the connection is a WebSocket that this call opened."""

    call: Call


@dataclass(slots=True, eq=False)
class Refusal(Exception):
    """A request that the provider refuses; `kind` and `code` are the provider's own words."""

    status: int
    kind: str
    message: str
    code: str | None = None
    param: str | None = None
    fields: list[Field] = field(default_factory=list)


class Emulator:
    """One provider. A subclass names its hosts, checks the credential, routes, and has a shape for refusals."""

    hosts: frozenset[str]
    may_carry: frozenset[bytes] = frozenset()  # names of _NEVER_UPSTREAM that are this provider's own

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    def answer(self, call: Call) -> Answer:
        """Judge and answer one request; never raises for what a client can send."""
        try:
            self._refuse_leftovers(call)
            self.authenticate(call)
            status = call.behaviour.status
            if status is not None and status >= 400:
                raise self.failure(status, call.behaviour.error)
            return self.echo(call) if is_echo(call.path) else self.route(call)
        except Refusal as refusal:
            return self.render(refusal)

    def authenticate(self, call: Call) -> None:
        """Raise Refusal unless the call carries this provider's credential and no other."""
        raise NotImplementedError

    def route(self, call: Call) -> Answer:
        """Answer a call that is authenticated, or raise Refusal."""
        raise NotImplementedError

    def failure(self, status: int, error: str | None) -> Refusal:
        """The provider's own error of that status."""
        raise NotImplementedError

    def render(self, refusal: Refusal) -> Answer:
        """A refusal in the provider's shape."""
        raise NotImplementedError

    def fields(self, call: Call) -> list[Field]:
        """The headers that every good answer of the provider carries."""
        raise NotImplementedError

    def echo(self, call: Call) -> Answer:
        """The body back as it came, with its own content type: stands for every endpoint nobody has heard of."""
        content_type = call.request.head.index.get(b"content-type", b"application/octet-stream")
        return Answer(200, [(b"content-type", content_type), *self.fields(call)], call.request.body)

    def json(self, call: Call, value: object) -> Answer:
        """A good answer."""
        return Answer(200, [JSON, *self.fields(call)], dumps(value))

    def _refuse_leftovers(self, call: Call) -> None:
        names = {name.replace(b"_", b"-") for name in call.request.head.index}
        leftovers = sorted((names & _NEVER_UPSTREAM) - self.may_carry)
        leftovers += sorted(name for name in names if name.startswith(b"x-llmauth"))
        if leftovers:
            listed = b", ".join(leftovers).decode()
            raise self.refused_leftover(f"a client's leftover reached the provider: {listed}")
        if b"?" in call.request.head.target:
            for pair in call.query.split("&"):
                name = pair.partition("=")[0].lower()
                if name in _NEVER_IN_QUERY or name.startswith("x-amz-"):
                    raise self.refused_leftover(f"a client's leftover reached the provider: query parameter {name}")

    def refused_leftover(self, message: str) -> Refusal:
        """The refusal of a request that carries more credentials than it should."""
        refusal = self.failure(400, None)
        refusal.message = message
        refusal.code = "leftover_credential"
        return refusal


def refuse_gateway_keys(call: Call, emulator: Emulator) -> None:
    """Refuse a request in whose head, whatever the header, or in whose form a gateway's key stands."""
    form = (call.header(b"content-type") or "").startswith("application/x-www-form-urlencoded")
    if _GATEWAY_KEY in call.request.head.raw or (form and _GATEWAY_KEY in call.request.body):
        raise emulator.refused_leftover("a client's leftover reached the provider: a key of the gateway")


def is_echo(path: str) -> bool:
    """Whether a path is one of those that give the body back."""
    return path.startswith(("/v1/echo/", "/echo/"))


class Unparsable(Exception):
    """A body that is not a JSON object."""


def json_object(call: Call, usual_type: bytes = b"") -> dict[str, Any]:
    """The body as a JSON object; raises Unparsable, also for a content type (or a usual one) that is not JSON."""
    content_type = call.request.head.index.get(b"content-type", usual_type)
    if content_type.partition(b";")[0].strip().lower() != b"application/json":
        raise Unparsable(f"the content type is {content_type.decode('latin-1')!r}, not application/json")
    try:
        value = json.loads(call.request.body)
    except (ValueError, RecursionError):
        raise Unparsable("the body is not JSON") from None
    if not isinstance(value, dict):
        raise Unparsable("the body is not a JSON object")
    return value
