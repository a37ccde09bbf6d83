"""What a provider is to the rest: where its credential may go, how it is put on, and what its refusals mean."""

from __future__ import annotations

import re
from enum import Enum
from typing import ClassVar, Generic, NoReturn, Protocol, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, field_validator

from llmauth.addresses import HostPort, is_ip_literal, parse_authority
from llmauth.clock import Clock, SystemClock
from llmauth.codecs.base import ProviderCodec, RefusalShape
from llmauth.context import ClientProtocol, Operation, ProviderType
from llmauth.errors import InternalError
from llmauth.http import Headers, Request, Url
from llmauth.providers.named import NOTHING, Call, Named, named
from llmauth.providers.private_link import Link
from llmauth.providers.speaking import Embeddings, Native
from llmauth.secrets import Credential
from llmauth.signing import hosted

_BASE_PATH = re.compile(r"(/(?!\.{1,2}(/|\Z))[A-Za-z0-9._~-]+)*")


class Verdict(Enum):
    """What an answer says about the credential that we sent."""

    PASSES = "passes"  # nothing: the answer is the provider's, and goes to the client as it is
    REJECTED = "rejected"  # ours is wrong: the client gets a 502, never the provider's own refusal
    EXPIRED = "expired"  # ours has ended or is out of step: another one, or a fresh signature, may help
    UNTOLD = "untold"  # only the body of the answer tells


class ProviderOptions(BaseModel):
    """What the configuration says of one instance, its authentication apart."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # Options whose default an environment variable sets, by the option's name.
    environment: ClassVar[dict[str, str]] = {}

    type: ProviderType
    base_url: str | None = None
    default: bool = False
    strict: bool = False

    @field_validator("base_url")
    @classmethod
    def _check_base_url(cls, value: str | None) -> str | None:
        if value is not None:
            parse_base_url(value)
        return value


class WebSocketOptions(ProviderOptions):
    """Those of a provider whose API also speaks WebSocket; callers are told to do without where it is off."""

    websocket: bool = True


def parse_base_url(text: str) -> Url:
    """`https://host[:port][/path]` taken apart, without a slash at its end; ValueError says what is wrong with it."""
    if not text.isascii() or not text.isprintable() or "\\" in text:
        raise ValueError("base_url holds a character that no URL holds")
    parts = urlsplit(text)
    if parts.scheme != "https":
        raise ValueError("base_url must begin with https://: a credential never travels in clear text")
    if "@" in parts.netloc or "?" in text or "#" in text:
        raise ValueError("base_url may hold no user, query or fragment; credentials belong under 'authentication'")
    origin = parse_authority(parts.netloc, 443)
    if is_ip_literal(origin.host):
        raise ValueError("base_url must name a host, not an address; 'upstream.resolve' says which address to dial")
    path = parts.path.rstrip("/")
    if not _BASE_PATH.fullmatch(path):
        raise ValueError("the path of base_url may only hold plain segments")
    return Url("https", origin.host, origin.port, path)


class ProviderHandler(Protocol):
    """One configured instance of a provider. A provider is one file with one such class."""

    provider: ClassVar[ProviderType]
    shape: ClassVar[RefusalShape]
    # Whether most paths name the model, so that it is known without any body.
    model_in_path: ClassVar[bool]

    @property
    def name(self) -> str:
        """The instance's name."""
        ...

    @property
    def options(self) -> ProviderOptions:
        """As configured."""
        ...

    @property
    def websocket(self) -> bool:
        """Whether a WebSocket may be opened to this instance: its API has them, and the configuration lets them be."""
        ...

    @property
    def hosts(self) -> frozenset[HostPort]:
        """Where this instance's credential may go, and nowhere else."""
        ...

    @property
    def region(self) -> str | None:
        """The region, where this provider has several."""
        ...

    @property
    def base(self) -> Url:
        """The place that most calls go to; its path comes before theirs."""
        ...

    @property
    def links(self) -> tuple[Link, ...]:
        """Interface endpoints at which hosts of this instance are dialled."""
        ...

    def forward(self, path: str, method: str) -> Url:
        """Where a call by /transparent/ path goes; `path` is the provider's own, with its query, as it came."""
        ...

    def owns(self, origin: HostPort) -> bool:
        """Whether this host and port are ours."""
        ...

    def named(self, call: Call) -> Named:
        """All models that could work by a native request, as far as its path and query tell, and its body if given.

        For a WebSocket it is certain only where the handshake decides, and no message can mean another model.
        """
        ...

    def models(self) -> tuple[str, ...]:
        """The names of models that the configuration of this instance gives."""
        ...

    def upstream(self, model: str) -> str:
        """The provider's own name of a model that was asked for by `model`."""
        ...

    def shape_of(self, path: str) -> RefusalShape:
        """The shape of the API at this path: a provider may serve those of several."""
        ...

    def authorize(self, request: Request, credential: Credential) -> Request:
        """The request signed for the place it goes to; InternalError where it may not go, or for a wrong kind."""
        ...

    def is_slow(self, credential: Credential) -> bool:
        """Whether to sign with this credential takes longer than an event loop should stand still for."""
        ...

    def at_home(self, protocol: ClientProtocol, path: str) -> str | None:
        """Where a path of a protocol's own API, below `/v1/`, stands here; `None` where this is not its provider."""
        ...

    def natively(self, operation: Operation, model: str, *, stream: bool) -> Native | None:
        """The endpoint where this provider speaks the client's own protocol; `None` where it must be translated."""
        ...

    def codec(self, model: str) -> ProviderCodec:
        """What this provider speaks about a model, for one request: codecs remember names that they changed."""
        ...

    def locate(self, model: str, *, stream: bool) -> str:
        """The path, for `forward`, of a chat in the format of `codec`."""
        ...

    def embeddings(self, model: str) -> Embeddings | None:
        """How a model is asked for embeddings where that is not OpenAI's way; `None` where it has none."""
        ...

    def verdict(self, status: int, headers: Headers) -> Verdict:
        """What an answer means for our credential, by its head."""
        ...

    def verdict_of_body(self, status: int, headers: Headers, body: bytes) -> Verdict:
        """The same where the head left it untold; `body` is as it came, still encoded. Never UNTOLD."""
        ...


Options = TypeVar("Options", bound=ProviderOptions)


class BoundHandler(Generic[Options]):
    """What the handlers share: a base URL, the hosts that the credential is bound to, and the check of both."""

    provider: ClassVar[ProviderType]
    options_model: ClassVar[type[ProviderOptions]]
    shape: ClassVar[RefusalShape]
    model_in_path: ClassVar[bool] = False
    links: tuple[Link, ...] = ()

    def __init__(self, name: str, options: Options, clock: Clock | None = None) -> None:
        self.name = name
        self.options = options
        self.base = parse_base_url(options.base_url or self.own_base_url)
        # A configured base_url takes the place of all the provider's own hosts.
        self.hosts = frozenset({self.base.origin}) if options.base_url else self._own_hosts()
        self._clock = clock or SystemClock()

    @property
    def own_base_url(self) -> str:
        """Where calls go unless the configuration says otherwise."""
        raise NotImplementedError

    @property
    def region(self) -> str | None:
        return None

    @property
    def websocket(self) -> bool:
        return isinstance(self.options, WebSocketOptions) and self.options.websocket

    def _own_hosts(self) -> frozenset[HostPort]:
        return frozenset({self.base.origin})

    def forward(self, path: str, method: str) -> Url:
        """The base URL's path and this one, with a `/v1` that both have written once."""
        return joined(self.base, path)

    def owns(self, origin: HostPort) -> bool:
        return origin in self.hosts

    def authorize(self, request: Request, credential: Credential) -> Request:
        """Bound first, then signed: no credential is put on a request to another place."""
        self._check_bound(request.url)
        return self._sign(hosted(request), credential)

    def _check_bound(self, url: Url) -> None:
        if url.scheme != "https" or not self.owns(url.origin):
            raise InternalError(
                f"The request would leave for a place that instance '{self.name}' does not serve.",
                detail=f"{url.scheme}://{url.host}:{url.port} is none of the hosts of '{self.name}'",
            )

    def named(self, call: Call) -> Named:
        return NOTHING if call.websocket else named(call)

    def _sign(self, request: Request, credential: Credential) -> Request:
        raise NotImplementedError

    def _wrong_kind(self, credential: Credential) -> NoReturn:
        raise InternalError(
            f"Instance '{self.name}' was given a kind of credential that it cannot use.",
            hint="Your own key is not at fault: tell whoever runs this gateway.",
            detail=f"'{self.provider}' cannot sign with {type(credential).__name__}",
        )

    def models(self) -> tuple[str, ...]:
        return ()

    def upstream(self, model: str) -> str:
        return model

    def shape_of(self, path: str) -> RefusalShape:
        return self.shape

    def at_home(self, protocol: ClientProtocol, path: str) -> str | None:
        return None

    def natively(self, operation: Operation, model: str, *, stream: bool) -> Native | None:
        return None

    def codec(self, model: str) -> ProviderCodec:
        raise NotImplementedError

    def locate(self, model: str, *, stream: bool) -> str:
        raise NotImplementedError

    def embeddings(self, model: str) -> Embeddings | None:
        return None

    def is_slow(self, credential: Credential) -> bool:
        return False

    def verdict(self, status: int, headers: Headers) -> Verdict:
        """A 401 is about the key that we sent, whoever asks."""
        return Verdict.REJECTED if status == 401 else Verdict.PASSES

    def verdict_of_body(self, status: int, headers: Headers, body: bytes) -> Verdict:
        return Verdict.PASSES


def joined(base: Url, path: str) -> Url:
    """`base` with `path` after its own path; a `/v1` at the seam that both have is written once."""
    prefix = base.path
    if prefix.endswith("/v1") and (path == "/v1" or path.startswith(("/v1/", "/v1?"))):
        prefix = prefix[:-3]
    return Url(base.scheme, base.host, base.port, prefix + path)
