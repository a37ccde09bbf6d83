"""Google Vertex AI: one location, a token of Google's or an API key, for Gemini and for the models of partners."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import quote, unquote

from pydantic import Field

from llmauth.codecs.anthropic.codec import AnthropicProvider
from llmauth.codecs.anthropic.counting import asking_vertex
from llmauth.codecs.anthropic.errors import REFUSALS as ANTHROPIC
from llmauth.codecs.anthropic.native import for_vertex
from llmauth.codecs.base import ProviderCodec, RefusalShape
from llmauth.codecs.claude_models import is_claude
from llmauth.codecs.embeddings.gemini import GeminiEmbeddings
from llmauth.codecs.embeddings.predict import PredictEmbeddings
from llmauth.codecs.gemini.codec import GeminiProvider
from llmauth.codecs.gemini.errors import LISTED_REFUSALS, REFUSALS
from llmauth.codecs.openai.provider import OpenAIProvider
from llmauth.codecs.openai.table import COMPATIBLE
from llmauth.codecs.splice import model_replaced
from llmauth.context import Operation
from llmauth.http import Headers, Request
from llmauth.providers.base import BoundHandler, ProviderOptions, Verdict
from llmauth.providers.leftovers import without
from llmauth.providers.named import NOTHING, Call, Named, named, text
from llmauth.providers.speaking import Embeddings, Native, Rewrite, quoted, under_its_name, unset
from llmauth.secrets import ApiKey, BearerToken, Credential
from llmauth.signing import api_key, bearer

# Google's endpoint that is compatible with OpenAI's API, where its own models sign what they thought.
_OF_GOOGLE = replace(COMPATIBLE, name="vertex_openai", provider="Vertex AI", family="gemini")

# Locations of several regions have a host of another pattern than a region's.
_MULTI_REGIONS = frozenset({"us", "eu"})

_PUBLISHED = re.compile(r"/publishers/([^/]+)/models/([^/:]+)(?::[A-Za-z]+)?\Z")
_ENDPOINT = re.compile(r"/endpoints/([^/:]+):[A-Za-z]+\Z")
_OPENAPI = "/endpoints/openapi/"
_PLACES = re.compile(r"/(?:publishers|endpoints)(?=/)")
# The place of a model where Claude's tokens are counted; the body says for which.
_COUNTER = "count-tokens"
_GECKO = re.compile(r"text-embedding-.+|text-multilingual-embedding-.+|textembedding-gecko.*")
_SSE = re.compile(r"(?:\A|&)(?:alt|%24alt|\$alt)=sse(?:&|\Z)")

# What Google's APIs take for a credential wherever it stands ("Standard query parameters"); the last of them carries
# whole headers.
_HEADERS = frozenset({b"authorization", b"x-goog-api-key"})
_PARAMETERS = frozenset({"key", "$key", "access_token", "$access_token", "oauth_token", "$oauth_token", "$httpheaders"})

# Of google.api.ErrorReason: those that are about what was presented, and not about what it may do. A 400 or a 403 has
# one in its body, and nowhere else.
_REFUSED_KEY = frozenset({"API_KEY_INVALID"})
_REFUSED_TOKEN = frozenset(
    {"ACCESS_TOKEN_EXPIRED", "ACCESS_TOKEN_SCOPE_INSUFFICIENT", "ACCESS_TOKEN_TYPE_UNSUPPORTED", "CREDENTIALS_MISSING"}
)
_READ_UP_TO = 256 * 1024  # of a body that came compressed


class VertexOptions(ProviderOptions):
    """Vertex AI in one location, which `region` names: a region, `global`, or one of the multi-regions."""

    environment: ClassVar[dict[str, str]] = {"project": "GOOGLE_CLOUD_PROJECT", "region": "GOOGLE_CLOUD_LOCATION"}

    type: Literal["vertex"] = "vertex"
    # An id, that of an organisation with its domain before it, or a number.
    project: Annotated[
        str | None,
        Field(pattern=r"^(([a-z0-9-]+\.)+[a-z]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$|^[0-9]{1,19}$", max_length=100),
    ] = None
    region: str = Field(default="global", pattern=r"^(global|us|eu|[a-z]+-[a-z]+[0-9]{1,2})$", max_length=40)


class VertexHandler(BoundHandler[VertexOptions]):
    """The native API of Vertex AI in one location.

    Which project and location a path names is the caller's choice, as everywhere in transparent mode: what the token
    may do there is Google's to judge, and the host, the only place that it is sent to, stays this instance's.
    """

    provider = "vertex"
    options_model = VertexOptions
    shape = REFUSALS
    model_in_path = True

    @property
    def region(self) -> str:
        return self.options.region

    @property
    def own_base_url(self) -> str:
        if self.region == "global":
            return "https://aiplatform.googleapis.com"
        if self.region in _MULTI_REGIONS:
            return f"https://aiplatform.{self.region}.rep.googleapis.com"
        return f"https://{self.region}-aiplatform.googleapis.com"

    def shape_of(self, path: str) -> RefusalShape:
        """Claude's errors are Anthropic's; a stream that is no event stream is an array, and so is its error."""
        route, _, query = path.partition("?")
        found = _PUBLISHED.search(route)
        if found is not None and found[1] == "anthropic":
            return ANTHROPIC
        listed = route.endswith(":streamGenerateContent") and not _SSE.search(query)
        return LISTED_REFUSALS if listed else self.shape

    def named(self, call: Call) -> Named:
        """In the path, of a publisher or by its endpoint; in the body for OpenAI's API and where Claude's tokens are
        counted.
        """
        if call.websocket:
            return NOTHING
        route = call.path.partition("?")[0]
        found = _PUBLISHED.search(route)
        model = unquote(found[2]) if found else None
        deployed = None if found else _ENDPOINT.search(route)
        in_body = _OPENAPI in route or (found is not None and found[1] == "anthropic" and model == _COUNTER)
        if deployed is not None and not in_body:
            model = unquote(deployed[1])
        if call.body is None:
            return Named(model=text(model))
        told = named(call, None if in_body else text(model))
        is_known = (model is not None or in_body) and len(_PLACES.findall(call.folded)) == 1
        return told if is_known or call.only_reads else replace(told, certain=False)

    def natively(self, operation: Operation, model: str, *, stream: bool) -> Native | None:
        """Claude takes Anthropic's own bodies; models of other publishers are served by OpenAI's API."""
        refused = self.codec(model).parse_error
        if operation == "messages" and is_claude(model):
            return Native(path=self._claude(model, stream), rewrite=_for_vertex, refused=refused)
        if operation == "count_tokens" and is_claude(model):
            return Native(path=self._claude(_COUNTER, False), rewrite=_counting(model), refused=refused)
        if operation == "chat" and "/" in model:
            path = f"{self._place}/endpoints/openapi/chat/completions"
            return Native(path=path, rewrite=under_its_name(model), refused=refused)
        return None

    def codec(self, model: str) -> ProviderCodec:
        if is_claude(model):
            return AnthropicProvider(model, "vertex")
        return OpenAIProvider(model, _OF_GOOGLE) if "/" in model else GeminiProvider(model)

    def locate(self, model: str, *, stream: bool) -> str:
        if is_claude(model):
            return self._claude(model, stream)
        if "/" in model:
            return f"{self._place}/endpoints/openapi/chat/completions"
        verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
        return f"{self._place}/publishers/google/models/{quoted(model)}:{verb}"

    def embeddings(self, model: str) -> Embeddings | None:
        """The older models are asked by `:predict`; of Gemini's, the first takes batches, and its successors do not."""
        path = f"publishers/google/models/{quoted(model)}"
        if _GECKO.fullmatch(model):
            return Embeddings(path=f"{self._place}/{path}:predict", format=PredictEmbeddings(model))
        if not model.startswith("gemini-embedding-"):
            return None
        batched = model.startswith("gemini-embedding-001")
        verb = "batchEmbedContents" if batched else "embedContent"
        return Embeddings(path=f"{self._place}/{path}:{verb}", format=GeminiEmbeddings(model, batched=batched))

    def _claude(self, model: str, stream: bool) -> str:
        verb = "streamRawPredict" if stream else "rawPredict"
        return f"{self._place}/publishers/anthropic/models/{quote(model, safe='@')}:{verb}"

    @property
    def _place(self) -> str:
        """The beginning of the paths of models, in the first version of the API that has them all."""
        if self.options.project is None:
            raise unset(self.name, "project")
        return f"/v1/projects/{self.options.project}/locations/{self.region}"

    def _sign(self, request: Request, credential: Credential) -> Request:
        bare = without(request, headers=_HEADERS, parameters=_PARAMETERS)
        match credential:
            case BearerToken():
                return bearer.sign(bare, credential.value)
            case ApiKey():
                return api_key.sign(bare, credential.value, header=b"x-goog-api-key")
            case _:
                self._wrong_kind(credential)

    def verdict(self, status: int, headers: Headers) -> Verdict:
        """A wrong key is a 400 and a token without its scope a 403, statuses that mostly mean something else."""
        if status == 401:
            return Verdict.EXPIRED
        return Verdict.UNTOLD if status in (400, 403) else Verdict.PASSES

    def verdict_of_body(self, status: int, headers: Headers, body: bytes) -> Verdict:
        refused = _REFUSED_KEY if status == 400 else _REFUSED_TOKEN
        return Verdict.PASSES if refused.isdisjoint(_reasons(_plain(headers, body))) else Verdict.REJECTED


def _plain(headers: Headers, body: bytes) -> bytes:
    """The body without its coding, as much as may be looked at; empty where it cannot be read."""
    coding = (headers.get("content-encoding") or "identity").strip().lower()
    if coding == "identity":
        return body
    if coding not in ("gzip", "x-gzip"):  # Google's servers answer in no other, whatever is accepted besides
        return b""
    try:
        return zlib.decompressobj(wbits=31).decompress(body, _READ_UP_TO)
    except zlib.error:
        return b""


def _reasons(body: bytes) -> Iterator[str]:
    """Every `reason` of the error's details; an error in place of an array stands in an array."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return
    for answer in value if isinstance(value, list) else [value]:
        for detail in _listed(_member(_member(answer, "error"), "details")):
            reason = _member(detail, "reason")
            if isinstance(reason, str):
                yield reason


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _for_vertex(body: bytes, _: Headers) -> bytes:
    return for_vertex(body)


def _counting(model: str) -> Rewrite:
    """There the model stays in the body, beside the version."""
    return lambda body, _: asking_vertex(model_replaced(body, model))
