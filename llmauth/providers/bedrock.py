"""AWS Bedrock: a runtime and a control plane in one region, signed with AWS keys or sent with a Bedrock API key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import ClassVar, Literal, Self
from urllib.parse import unquote

from pydantic import Field, field_validator, model_validator

from llmauth.addresses import HostPort
from llmauth.clock import Clock
from llmauth.codecs import aws_exceptions
from llmauth.codecs.anthropic.counted import Counted
from llmauth.codecs.anthropic.counting import asking_bedrock
from llmauth.codecs.anthropic.native import betas_in, for_bedrock
from llmauth.codecs.base import ProviderCodec
from llmauth.codecs.claude_models import is_claude
from llmauth.codecs.converse.codec import ConverseProvider
from llmauth.codecs.converse.errors import REFUSALS
from llmauth.codecs.embeddings.base import EmbeddingFormat
from llmauth.codecs.embeddings.cohere import CohereEmbeddings
from llmauth.codecs.embeddings.titan import TitanEmbeddings
from llmauth.codecs.openai.failures import parse_failure
from llmauth.context import Operation
from llmauth.errors import UpstreamError
from llmauth.http import Headers, Request, Url
from llmauth.providers.base import BoundHandler, ProviderOptions, Verdict, joined, parse_base_url
from llmauth.providers.inference_profiles import foundation, geography
from llmauth.providers.named import NOTHING, Call, Named, at, named, text
from llmauth.providers.private_link import Link, endpoint
from llmauth.providers.speaking import OPENAI_PATHS, Embeddings, Native, quoted, under_its_name
from llmauth.secrets import ApiKey, AwsKeys, BearerToken, Credential
from llmauth.signing import bearer, hosted, sigv4

# First segments of the paths that the runtime serves; every other path is the control plane's.
_RUNTIME = frozenset({"model", "guardrail", "guardrail-checks", "async-invoke", "openai"})
# DNS suffixes of a partition, the dual-stack one second; every region that begins otherwise is in the first.
_SUFFIXES = {
    "": ("amazonaws.com", "api.aws"),
    "cn-": ("amazonaws.com.cn", "api.amazonwebservices.com.cn"),
    "eusc-": ("amazonaws.eu", "api.amazonwebservices.eu"),
}
# Models that AWS mostly serves by an inference profile only.
_PROFILED = re.compile(r"(anthropic\.claude|amazon\.nova|meta\.llama[34])")
# Where a body names the model: asynchronous jobs, and the APIs of others, those of Mantle among them.
_IN_BODY = re.compile(r"/(async-invoke\Z|openai/v1/|v1/|anthropic/v1/)")
_OPERATION = re.compile(r"[a-z-]+")
# OpenAI's own models, which AWS serves by OpenAI's API as well, each in its regions and under no profile.
_OPENAI_MODEL = re.compile(r"openai\.[a-z0-9.-]+(:[0-9]+)?")
# Behind a profile's prefix or in an ARN.
_TITAN = re.compile(r"(?:\A|[./])amazon\.titan-embed-(?:(text-v2)|text-v1|g1-text-)")
_COHERE = re.compile(r"(?:\A|[./])cohere\.embed-(v4)?")

_EXPIRED = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "RequestTimeTooSkewed",
        "RequestExpired",
    }
)
_REJECTED = frozenset(
    {
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "IncompleteSignatureException",
        "IncompleteSignature",
        "MissingAuthenticationTokenException",
        "MissingAuthenticationToken",
        "AuthFailure",
    }
)


# What an interface endpoint may be of.
_LINKED = ("bedrock-runtime", "bedrock-runtime-fips", "bedrock-mantle")
_LINKED_CONTROL = ("bedrock", "bedrock-fips")


class BedrockOptions(ProviderOptions):
    """Bedrock in one region. With `base_url` every call goes there, and is signed for `region`.

    `control_plane_url` is where calls of the control plane go then. Where one of the two is an interface endpoint of
    PrivateLink, requests there name the service's own host, which clients' native hosts then lead to it as well.
    `inference_profiles` asks for models of Anthropic, Amazon's Nova and Meta by the profile of the region's geography.
    """

    environment: ClassVar[dict[str, str]] = {"region": "AWS_REGION"}

    type: Literal["bedrock"] = "bedrock"
    region: str = Field(default="us-east-1", pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=40)
    inference_profiles: bool = False
    control_plane_url: str | None = None

    @field_validator("control_plane_url")
    @classmethod
    def _check_control_plane_url(cls, value: str | None) -> str | None:
        if value is not None:
            parse_base_url(value)
        return value

    @model_validator(mode="after")
    def _check_endpoints(self) -> Self:
        """A wrong region or service would be a 403 of AWS's for every request."""
        if self.control_plane_url is not None and self.base_url is None:
            raise ValueError("control_plane_url is for an instance with a base_url, which else takes these calls too")
        for name, url, services in (
            ("base_url", self.base_url, _LINKED),
            ("control_plane_url", self.control_plane_url, _LINKED_CONTROL),
        ):
            found = None if url is None else endpoint(parse_base_url(url).host)
            if found is not None and found.service not in services:
                raise ValueError(f"{name} is an endpoint of '{found.service}'; wanted one of {' or '.join(services)}")
            if found is not None and found.region != self.region:
                raise ValueError(f"{name} is an endpoint in '{found.region}', and 'region' says '{self.region}'")
        return self


class BedrockHandler(BoundHandler[BedrockOptions]):
    """The native API of Bedrock, both planes."""

    provider = "bedrock"
    options_model = BedrockOptions
    shape = REFUSALS
    model_in_path = True

    def __init__(self, name: str, options: BedrockOptions, clock: Clock | None = None) -> None:
        super().__init__(name, options, clock)
        control = None if options.control_plane_url is None else parse_base_url(options.control_plane_url)
        planes = [url for url in (self.base, control) if url is not None]
        self.links = tuple(self._linked(planes))
        self._services = {link.place: link.service for link in self.links}
        if options.base_url is not None:
            self.hosts = frozenset({url.origin for url in planes}.union(self._services.values()))
        self.base = self.signed_for(self.base)
        self._control = None if control is None else self.signed_for(control)

    def _linked(self, planes: Iterable[Url]) -> Iterator[Link]:
        for url in planes:
            found = endpoint(url.host)
            if found is not None:
                yield Link(place=url.origin, service=HostPort(self._service_host(found.service), 443))

    def _service_host(self, service: str) -> str:
        return self._host(service, dual_stack=service == "bedrock-mantle")

    def signed_for(self, url: Url) -> Url:
        """The URL as AWS is to read it, over which its signature is made: of an interface endpoint, its service's."""
        service = self._services.get(url.origin)
        return url if service is None else url._replace(host=service.host, port=service.port)

    def authorize(self, request: Request, credential: Credential) -> Request:
        """Bound first; then addressed to the service, whatever name its endpoint has, and signed for it."""
        self._check_bound(request.url)
        return self._sign(hosted(request.altered(url=self.signed_for(request.url))), credential)

    @property
    def region(self) -> str:
        return self.options.region

    @property
    def own_base_url(self) -> str:
        return f"https://{self._host('bedrock-runtime')}"

    def _host(self, service: str, *, dual_stack: bool = False) -> str:
        partition = next((p for p in _SUFFIXES if p and self.region.startswith(p)), "")
        return f"{service}.{self.region}.{_SUFFIXES[partition][dual_stack]}"

    def _own_hosts(self) -> frozenset[HostPort]:
        """Every name that AWS gives the two planes in this region: plain, FIPS, dual-stack; and Mantle."""
        services = ("bedrock-runtime", "bedrock", "bedrock-runtime-fips", "bedrock-fips")
        names = {self._host(service, dual_stack=dual) for service in services for dual in (False, True)}
        return frozenset(HostPort(name, 443) for name in {*names, self._host("bedrock-mantle", dual_stack=True)})

    def forward(self, path: str, method: str) -> Url:
        """The first segment decides between the two planes; no path is served by both, whatever the method."""
        first = path[1:].partition("?")[0].partition("/")[0]
        if first not in _RUNTIME and self._control is not None:
            return joined(self._control, path)
        if first in _RUNTIME or self.options.base_url is not None:
            return joined(self.base, path)
        return Url("https", self._host("bedrock"), 443, path)

    def named(self, call: Call) -> Named:
        """In the path of the runtime; of what starts a job, and of the APIs that are OpenAI's and Anthropic's, in the
        body.
        """
        if call.websocket:
            return NOTHING
        route = call.path.partition("?")[0]
        # The id may be an ARN with bare slashes, so it reaches up to the operation.
        model, _, operation = route.partition("/model/")[2].rpartition("/")
        if model and _OPERATION.fullmatch(operation):
            return named(call, text(unquote(model)))
        if call.body is None:
            return NOTHING
        works = _IN_BODY.search(call.folded)
        told = named(call, main=at("modelId") if works is None or works[1] == "async-invoke" else at("model"))
        return told if works is not None or call.only_reads else replace(told, certain=False)

    def upstream(self, model: str) -> str:
        """Under the inference profile of this region's geography, where that is configured and the id names none."""
        if not self.options.inference_profiles or not _PROFILED.match(model):
            return model
        prefix = geography(self.region)
        return model if prefix is None else f"{prefix}.{model}"

    def natively(self, operation: Operation, model: str, *, stream: bool) -> Native | None:
        """Claude takes Anthropic's own bodies, and OpenAI's models are served by OpenAI's API beside Converse."""
        if operation == "messages" and is_claude(model):
            invoke = "invoke-with-response-stream" if stream else "invoke"
            path = f"/model/{quoted(model)}/{invoke}"
            return Native(path=path, rewrite=_for_invoke, unwraps=stream, refused=self.codec(model).parse_error)
        if operation == "count_tokens" and is_claude(model):
            # "The provided model doesn't support counting tokens" is what CountTokens says of every profile.
            path = f"/model/{quoted(foundation(model))}/count-tokens"
            return Native(path=path, rewrite=_for_counting, reads=Counted)
        if operation in ("chat", "responses") and _OPENAI_MODEL.fullmatch(model):
            path = f"/openai{OPENAI_PATHS[operation]}"
            return Native(path=path, rewrite=under_its_name(model), refused=_refused_by_either)
        return None

    def codec(self, model: str) -> ProviderCodec:
        return ConverseProvider(model)

    def locate(self, model: str, *, stream: bool) -> str:
        return f"/model/{quoted(model)}/{'converse-stream' if stream else 'converse'}"

    def embeddings(self, model: str) -> Embeddings | None:
        form = _embedding_format(model)
        return None if form is None else Embeddings(path=f"/model/{quoted(model)}/invoke", format=form)

    def _sign(self, request: Request, credential: Credential) -> Request:
        match credential:
            case AwsKeys():
                service = "bedrock-mantle" if request.url.host.startswith("bedrock-mantle.") else "bedrock"
                return sigv4.sign(request, credential, region=self.region, service=service, now=self._clock.wall())
            case ApiKey() | BearerToken():
                return bearer.sign(request, credential.value)
            case _:
                self._wrong_kind(credential)

    def verdict(self, status: int, headers: Headers) -> Verdict:
        """AWS says 403 for a bad signature and for a missing permission; only the name in a header tells which."""
        if status not in (401, 403):
            return Verdict.PASSES
        # "Name:http://…", and in some services "namespace#Name".
        name = (headers.get("x-amzn-errortype") or "").partition(":")[0].rpartition("#")[2]
        if name in _EXPIRED:
            return Verdict.EXPIRED
        return Verdict.REJECTED if status == 401 or name in _REJECTED else Verdict.PASSES


def _for_invoke(body: bytes, headers: Headers) -> bytes:
    """The betas that the client asks for in a header stand in the body here."""
    return for_bedrock(body, betas_in(headers.all("anthropic-beta")))


def _for_counting(body: bytes, headers: Headers) -> bytes:
    """The same, as a question of how long it is."""
    return asking_bedrock(body, betas_in(headers.all("anthropic-beta")))


def _refused_by_either(status: int, headers: Headers, body: bytes) -> UpstreamError:
    """What stands before the endpoint of OpenAI's refuses in AWS's words, and names them in a header."""
    if headers.get("x-amzn-errortype") is None:
        return parse_failure(status, headers, body)
    return aws_exceptions.of_answer(status, headers, body)


def _embedding_format(model: str) -> EmbeddingFormat | None:
    if (titan := _TITAN.search(model)) is not None:
        return TitanEmbeddings(model, sized=titan[1] is not None)
    cohere = _COHERE.search(model)
    return None if cohere is None else CohereEmbeddings(model, sized=cohere[1] is not None)
