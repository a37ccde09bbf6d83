"""Azure OpenAI (Foundry): one resource under several names, an API key or a token of Entra."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal
from urllib.parse import unquote

from pydantic import Field

from llmauth.addresses import HostPort
from llmauth.clock import Clock
from llmauth.codecs.anthropic.errors import REFUSALS as ANTHROPIC
from llmauth.codecs.base import RefusalShape
from llmauth.codecs.openai.errors import REFUSALS
from llmauth.http import Headers, Request, Url
from llmauth.providers.base import BoundHandler, Verdict, WebSocketOptions, joined, model_in_json
from llmauth.providers.leftovers import without
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
# The only paths that name a deployment; everywhere else it stands in the body, as `model`.
_DEPLOYMENT = re.compile(
    r"/openai/deployments/([^/]+)/"
    r"(?:chat/completions|completions|embeddings|images/generations|images/edits"
    r"|audio/transcriptions|audio/translations|audio/speech)\Z"
)

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

    def forward(self, path: str, method: str) -> Url:
        """Paths from `/openai` on are the resource's own; shorter ones stand below the root that base_url names."""
        if _ROOTED.match(path):
            return self.base._replace(path=_ROOT.sub("", self.base.path) + path)
        return joined(self.base, path)

    def shape_of(self, path: str) -> RefusalShape:
        """Claude's API stands beside OpenAI's."""
        return ANTHROPIC if path.startswith("/anthropic/") else self.shape

    def model_of(self, request: Request) -> str | None:
        found = _DEPLOYMENT.search(request.url.route_path)
        return unquote(found[1])[:200] if found else model_in_json(request.body)

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


def _names_of(origin: HostPort) -> frozenset[HostPort]:
    """All hosts of the resource that this one belongs to; a host that is not Azure's own stands for itself."""
    found = _RESOURCE.fullmatch(origin.host)
    if found is None or origin.port != 443:
        return frozenset({origin})
    resource, cloud = found.groups()
    return frozenset(HostPort(f"{resource}.{service}.azure.{cloud}", 443) for service in SERVICES)
