"""IBM watsonx.ai: the models and the data platform of one region, with a token of IBM's IAM."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from llmauth.addresses import HostPort
from llmauth.codecs.base import ProviderCodec
from llmauth.codecs.embeddings.watsonx import WatsonxEmbeddings
from llmauth.codecs.watsonx.codec import WatsonxProvider
from llmauth.codecs.watsonx.errors import REFUSALS
from llmauth.http import Headers, Request, Url
from llmauth.providers.base import BoundHandler, ProviderOptions, Verdict, joined
from llmauth.providers.named import NOTHING, Call, Named, at, named, text
from llmauth.providers.speaking import Embeddings, unset
from llmauth.secrets import BearerToken, Credential
from llmauth.signing import bearer

# The data platform, which knows projects and spaces, has a name in each region, and another in the newer ones.
_OLDEST = "us-south"
_NEWER = frozenset({"au-syd", "ca-tor"})

_Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$", max_length=64)]
_DEPLOYMENT = re.compile(r"/deployments/([^/]+)", re.IGNORECASE)


class WatsonxOptions(ProviderOptions):
    """watsonx in one region. With `base_url` every call goes there."""

    environment: ClassVar[dict[str, str]] = {"project_id": "WATSONX_PROJECT_ID", "space_id": "WATSONX_SPACE_ID"}

    type: Literal["ibm"] = "ibm"
    region: str = Field(default=_OLDEST, pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=40)
    project_id: _Id | None = None
    space_id: _Id | None = None
    # "The version date for the API of the form YYYY-MM-DD": which behaviour protocol mode asks for.
    version: str = Field(default="2026-10-14", pattern=r"^\d{4}-\d{2}-\d{2}$")

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if self.project_id is not None and self.space_id is not None:
            raise ValueError("a call belongs to a project or to a space; give project_id or space_id, not both")
        return self


class WatsonxHandler(BoundHandler[WatsonxOptions]):
    """The native API of watsonx.ai, and what its SDK asks the data platform."""

    provider = "ibm"
    options_model = WatsonxOptions
    shape = REFUSALS

    @property
    def region(self) -> str:
        return self.options.region

    @property
    def own_base_url(self) -> str:
        return f"https://{self.region}.ml.cloud.ibm.com"

    @property
    def _platform(self) -> str:
        if self.region in _NEWER:
            return f"api.{self.region}.dai.cloud.ibm.com"
        place = "" if self.region == _OLDEST else f"{self.region}."
        return f"api.{place}dataplatform.cloud.ibm.com"

    def _own_hosts(self) -> frozenset[HostPort]:
        """Both services, by their public and by their private name.

        The oldest name of the data platform is there in every region: it is the one that most of IBM's examples show.
        """
        names = {self.base.host, self._platform, "api.dataplatform.cloud.ibm.com"}
        return frozenset(HostPort(prefix + name, 443) for name in names for prefix in ("", "private."))

    def forward(self, path: str, method: str) -> Url:
        """The models' paths begin with `/ml`; all others are the data platform's, whatever the method."""
        first = path[1:].partition("?")[0].partition("/")[0]
        if first == "ml" or self.options.base_url is not None:
            return joined(self.base, path)
        return Url("https", self._platform, 443, path)

    def named(self, call: Call) -> Named:
        """The gateway of models is compatible with OpenAI's API; all else has a name of its own for the model, and a
        deployment stands in the path.
        """
        if call.websocket:
            return NOTHING
        found = _DEPLOYMENT.findall(call.plain)
        told = named(call, text(found[0]) if found else None, main=at("model" if _is_gateway(call) else "model_id"))
        is_known = call.only_reads or (len(found) <= 1 and ("/ml/v1" in call.folded or _is_gateway(call)))
        return told if is_known else replace(told, certain=False)

    def codec(self, model: str) -> ProviderCodec:
        self._check_place()
        return WatsonxProvider(model, project_id=self.options.project_id, space_id=self.options.space_id)

    def locate(self, model: str, *, stream: bool) -> str:
        return f"/ml/v1/text/{'chat_stream' if stream else 'chat'}?version={self.options.version}"

    def embeddings(self, model: str) -> Embeddings | None:
        """Of every model: no id tells which of them embed."""
        self._check_place()
        options = self.options
        form = WatsonxEmbeddings(model, project_id=options.project_id, space_id=options.space_id)
        return Embeddings(path=f"/ml/v1/text/embeddings?version={options.version}", format=form)

    def _check_place(self) -> None:
        """InstanceIncomplete without one: "Either space_id or project_id has to be given"."""
        if self.options.project_id is None and self.options.space_id is None:
            raise unset(self.name, "project_id")

    def _sign(self, request: Request, credential: Credential) -> Request:
        match credential:
            case BearerToken():
                return bearer.sign(request, credential.value)
            case _:
                self._wrong_kind(credential)

    def verdict(self, status: int, headers: Headers) -> Verdict:
        """A 401 is about a token of at most an hour, and another one may be good; a 403 is about permissions."""
        return Verdict.EXPIRED if status == 401 else Verdict.PASSES


def _is_gateway(call: Call) -> bool:
    return "/ml/gateway/" in call.folded
