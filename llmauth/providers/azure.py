"""Azure OpenAI (Foundry): one resource under several names, an API key or a token of Entra."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from llmauth.addresses import HostPort
from llmauth.clock import Clock
from llmauth.codecs.anthropic.errors import REFUSALS as ANTHROPIC
from llmauth.codecs.anthropic.failures import parse_error
from llmauth.codecs.base import ProviderCodec, RefusalShape
from llmauth.codecs.claude_models import is_claude
from llmauth.codecs.openai.errors import REFUSALS
from llmauth.codecs.openai.provider import OpenAIProvider
from llmauth.codecs.openai.table import AZURE
from llmauth.context import ClientProtocol, Operation
from llmauth.http import Headers, Request, Url
from llmauth.providers.base import BoundHandler, Verdict, WebSocketOptions, joined
from llmauth.providers.leftovers import without
from llmauth.providers.named import NOTHING, Call, Named, named, text
from llmauth.providers.speaking import ANTHROPIC_PATHS, OPENAI_PATHS, Native, quoted, under_its_name
from llmauth.secrets import ApiKey, BearerToken, Credential
from llmauth.signing import api_key, bearer

# A resource has one name ("custom subdomain"), which Azure gives once in a cloud, and a host under each of these.
SERVICES = ("openai", "services.ai", "cognitiveservices")
_RESOURCE = re.compile(
    rf"([a-z0-9](?:[a-z0-9-]{{0,62}}))\.(?:{'|'.join(map(re.escape, SERVICES))})\.azure\.(com|us|cn)"
)

# A base_url that ends in one of these names the API's root, which most paths have as well.
_ROOT = re.compile(r"/openai(/v1)?\Z")
# `/models` by itself is a list of OpenAI's, and the beginning of an older API's paths.
_ROOTED = re.compile(r"/(?:openai|anthropic|models/(?:chat|embeddings|images|info))(?=[/?]|\Z)")
# A path that names a deployment decides, in any spelling: Azure heeds no case, and decodes before it looks. Elsewhere
# it stands in the body, as `model`.
_DEPLOYMENT = re.compile(r"/deployments(?:/([^/]*)|\Z)", re.IGNORECASE)

# These "versions" name the API that has none.
_V1 = frozenset({"v1", "preview", "latest"})

# Places besides the two that we use in which a resource of Azure's AI services takes a key.
_HEADERS = frozenset({b"authorization", b"api-key", b"x-api-key", b"ocp-apim-subscription-key"})
# Browsers, which cannot set headers on a WebSocket, send two of the headers as parameters.
_PARAMETERS = frozenset({"api-key", "subscription-key", "ocp-apim-subscription-key", "authorization"})

_Model = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@/-]*$", max_length=200)]
_Deployment = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)]


class AzureOptions(WebSocketOptions):
    """A resource. `base_url` is its endpoint, such as `https://{resource}.openai.azure.com`."""

    type: Literal["azure"] = "azure"
    base_url: str
    api_version: Annotated[str | None, Field(pattern=r"^(\d{4}-\d{2}-\d{2}(-preview)?|v1|preview|latest)$")] = None
    deployments: Mapping[_Model, _Deployment] = {}


class AzureHandler(BoundHandler[AzureOptions]):
    """The native API of Azure OpenAI: the paths of deployments, and `/openai/v1`."""

    provider = "azure"
    options_model = AzureOptions
    shape = REFUSALS

    def __init__(self, name: str, options: AzureOptions, clock: Clock | None = None) -> None:
        super().__init__(name, options, clock)
        self.hosts = _names_of(self.base.origin)
        self._deployed: dict[str, tuple[str, ...]] = {}
        for model, deployment in options.deployments.items():
            self._deployed[deployment] = (*self._deployed.get(deployment, ()), model)

    def forward(self, path: str, method: str) -> Url:
        """Paths from `/openai` on are the resource's own; shorter ones stand below the root that base_url names."""
        if _ROOTED.match(path):
            return self.base._replace(path=_ROOT.sub("", self.base.path) + path)
        return joined(self.base, path)

    def shape_of(self, path: str) -> RefusalShape:
        """Claude's API stands beside OpenAI's."""
        return ANTHROPIC if path.startswith("/anthropic/") else self.shape

    def named(self, call: Call) -> Named:
        """By the deployment of the path, whatever a body says beside it; of two, nobody knows which counts."""
        found = _DEPLOYMENT.findall(call.plain)
        if call.websocket:
            return _of_session(call) if not found else NOTHING
        if not found:
            return named(call)
        told = named(call, text(found[0]), beside=False)
        return told if len(found) == 1 and found[0] else replace(told, certain=False)

    def at_home(self, protocol: ClientProtocol, path: str) -> str | None:
        """Its list of models is not that of its deployments, which alone can be called."""
        lists = path == "models" or path.startswith("models/")
        return f"/openai/v1/{path}" if protocol == "openai" and not lists else None

    def natively(self, operation: Operation, model: str, *, stream: bool) -> Native | None:
        """OpenAI's API for every deployment, and Anthropic's for those of Claude."""
        if operation in OPENAI_PATHS:
            return Native(path=self._path(operation, model), rewrite=under_its_name(model))
        path = ANTHROPIC_PATHS.get(operation)
        if path is None or not self._is_claude(model):
            return None
        # What stands before Claude refuses in Azure's words.
        return Native(path=f"/anthropic{path}", rewrite=under_its_name(model), refused=parse_error)

    def _is_claude(self, deployment: str) -> bool:
        """By its name, or by that of the model that it stands for."""
        return any(is_claude(model) for model in (deployment, *self._deployed.get(deployment, ())))

    def _path(self, operation: Operation, deployment: str) -> str:
        """By the deployment where a version of the older API is configured, which has no path for responses."""
        version = self.options.api_version
        if version is None or version in _V1 or operation == "responses":
            return f"/openai{OPENAI_PATHS[operation]}"
        path = OPENAI_PATHS[operation].removeprefix("/v1")
        return f"/openai/deployments/{quoted(deployment)}{path}?api-version={version}"

    def codec(self, model: str) -> ProviderCodec:
        # Of a deployment, the model that it was named for says what it takes.
        return OpenAIProvider(model, AZURE, kind=next(iter(self._deployed.get(model, ())), None))

    def locate(self, model: str, *, stream: bool) -> str:
        return self._path("chat", model)

    def models(self) -> tuple[str, ...]:
        return tuple(self.options.deployments)

    def upstream(self, model: str) -> str:
        """A deployment, whose name is whatever its owner chose."""
        return self.options.deployments.get(model, model)

    def _sign(self, request: Request, credential: Credential) -> Request:
        bare = without(request, headers=_HEADERS, parameters=_PARAMETERS)
        match credential:
            case ApiKey():
                return api_key.sign(bare, credential.value, header=b"api-key")
            case BearerToken():
                return bearer.sign(bare, credential.value)
            case _:
                self._wrong_kind(credential)

    def verdict(self, status: int, headers: Headers) -> Verdict:
        """A 401 is about what we sent, and of a token Azure says whether it has ended; a 403 is about permissions."""
        if status != 401:
            return Verdict.PASSES
        ended = "invalid_token" in (headers.get("www-authenticate") or "")
        return Verdict.EXPIRED if ended else Verdict.REJECTED


def _of_session(call: Call) -> Named:
    """Realtime's older paths name a deployment, the newer ones a model; with both, one would be a decoy."""
    return call.by_query("deployment", "model") if call.folded.endswith("/realtime") else NOTHING


def _names_of(origin: HostPort) -> frozenset[HostPort]:
    """All hosts of the resource that this one belongs to; a host that is not Azure's own stands for itself."""
    found = _RESOURCE.fullmatch(origin.host)
    if found is None or origin.port != 443:
        return frozenset({origin})
    resource, cloud = found.groups()
    return frozenset(HostPort(f"{resource}.{service}.azure.{cloud}", 443) for service in SERVICES)
