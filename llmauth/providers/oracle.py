"""Oracle's Generative AI: inference and management in one region, signed with an OCI key or sent with an API key."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from llmauth.addresses import HostPort
from llmauth.codecs.base import ProviderCodec
from llmauth.codecs.embeddings.oracle import OracleEmbeddings
from llmauth.codecs.oracle.codec import OracleProvider
from llmauth.codecs.oracle.errors import REFUSALS
from llmauth.errors import NoCredential
from llmauth.http import Headers, Request, Url
from llmauth.providers.base import BoundHandler, ProviderOptions, Verdict, joined
from llmauth.providers.named import NOTHING, Call, Named, at, member, named, text
from llmauth.providers.speaking import Embeddings, unset
from llmauth.secrets import ApiKey, BearerToken, Credential, OciKey
from llmauth.signing import bearer, oci

# The regions outside of the first realm by the domain of theirs; whatever is not here is in the first.
_COMMERCIAL = "oraclecloud.com"
_OTHERS: Mapping[str, tuple[str, ...]] = {
    "oraclegovcloud.com": ("us-langley-1", "us-luke-1", "us-gov-ashburn-1", "us-gov-chicago-1", "us-gov-phoenix-1"),
    "oraclegovcloud.uk": ("uk-gov-london-1", "uk-gov-cardiff-1"),
    "oraclecloud.eu": ("eu-madrid-2", "eu-frankfurt-2"),
    "oraclecloud8.com": ("ap-chiyoda-1", "ap-ibaraki-1"),
    "oraclecloud9.com": ("me-dcc-muscat-1", "me-ibri-1"),
    "oraclecloud10.com": ("ap-dcc-canberra-1",),
    "oraclecloud14.com": (
        *("eu-dcc-milan-1", "eu-dcc-milan-2", "eu-dcc-dublin-1"),
        *("eu-dcc-dublin-2", "eu-dcc-rating-1", "eu-dcc-rating-2"),
    ),
    "oraclecloud15.com": ("ap-dcc-gazipur-1",),
    "oraclecloud20.com": ("eu-jovanovac-1",),
    "oraclecloud21.com": ("me-dcc-doha-1", "me-alrayyan-1"),
    "oraclecloud23.com": ("us-somerset-1", "us-thames-1"),
    "oraclecloud24.com": ("eu-dcc-zurich-1", "eu-crissier-1"),
    "oraclecloud26.com": ("me-abudhabi-3", "me-alain-1"),
    "oraclecloud29.com": ("me-abudhabi-2", "me-abudhabi-4"),
    "oraclecloud35.com": ("ap-seoul-2", "ap-suwon-1", "ap-chuncheon-2"),
    "oraclecloud42.com": ("us-ashburn-2", "us-newark-1"),
    "oraclecloud51.com": ("eu-budapest-1",),
    "oraclecloud52.com": ("sa-riodejaneiro-1",),
}
_DOMAINS = {region: domain for domain, regions in _OTHERS.items() for region in regions}
REALMS = (_COMMERCIAL, *_OTHERS)

_OPENAI = "/openai/"
_EMBEDS = "cohere.embed-"
# "The date must be within five minutes": what is further away is not about the key.
_MAX_SKEW = 270.0


class OracleOptions(ProviderOptions):
    """Generative AI in one region. With `base_url` every call goes there."""

    environment: ClassVar[dict[str, str]] = {"region": "OCI_CLI_REGION"}

    type: Literal["oracle"] = "oracle"
    region: str = Field(default="us-chicago-1", pattern=r"^[a-z]+(-[a-z]+){1,2}-[0-9]{1,2}$", max_length=40)
    compartment: Annotated[
        str | None, Field(pattern=r"^ocid1\.(compartment|tenancy)\.[a-z0-9-]+\.[a-z0-9-]*\.[a-z0-9]+$", max_length=255)
    ] = None


class OracleHandler(BoundHandler[OracleOptions]):
    """The native API of Generative AI, both planes, and its paths that are compatible with OpenAI's."""

    provider = "oracle"
    options_model = OracleOptions
    shape = REFUSALS

    @property
    def region(self) -> str:
        return self.options.region

    @property
    def own_base_url(self) -> str:
        return f"https://{self._host('inference.generativeai')}"

    def _host(self, service: str, *, dual_stack: bool = False) -> str:
        domain = _DOMAINS.get(self.region, _COMMERCIAL)
        return f"{service}.{self.region}.{'ds.' if dual_stack else ''}oci.{domain}"

    def _own_hosts(self) -> frozenset[HostPort]:
        services = ("inference.generativeai", "generativeai")
        return frozenset(HostPort(self._host(s, dual_stack=dual), 443) for s in services for dual in (False, True))

    def forward(self, path: str, method: str) -> Url:
        """`/{version}/actions/…` and `/openai/…` are inference; every other path is the management plane's."""
        segments = path.partition("?")[0].split("/")[1:3]
        if self.options.base_url is not None or segments[0] == "openai" or segments[1:] == ["actions"]:
            return joined(self.base, path)
        return Url("https", self._host("generativeai"), 443, path)

    def named(self, call: Call) -> Named:
        """In the serving mode, but on the paths that are compatible with OpenAI's."""
        if call.websocket:
            return NOTHING
        return named(call, main=at("model") if _OPENAI in f"{call.folded}/" else _served)

    def codec(self, model: str) -> ProviderCodec:
        return OracleProvider(model, self._compartment)

    def locate(self, model: str, *, stream: bool) -> str:
        return "/20231130/actions/chat"

    def embeddings(self, model: str) -> Embeddings | None:
        if not model.startswith(_EMBEDS):
            return None
        form = OracleEmbeddings(model, self._compartment, sized=model.startswith(f"{_EMBEDS}v4"))
        return Embeddings(path="/20231130/actions/embedText", format=form)

    @property
    def _compartment(self) -> str:
        """What every call in protocol mode names."""
        if self.options.compartment is None:
            raise unset(self.name, "compartment")
        return self.options.compartment

    def is_slow(self, credential: Credential) -> bool:
        return isinstance(credential, OciKey) and oci.is_slow(credential)

    def _sign(self, request: Request, credential: Credential) -> Request:
        match credential:
            case OciKey():
                return oci.sign(request, credential, now=self._clock.wall())
            case ApiKey() | BearerToken() if request.url.path.startswith(f"{self.base.path}{_OPENAI}"):
                return bearer.sign(request, credential.value)
            case ApiKey() | BearerToken():
                raise NoCredential(
                    f"Cannot authenticate to provider {self.name}: it has a Generative AI API key, which serves paths "
                    f"under {_OPENAI}v1 and no others.",
                    hint="Your own key is not at fault: other paths need an OCI signing key in the gateway.",
                )
            case _:
                self._wrong_kind(credential)

    def verdict(self, status: int, headers: Headers) -> Verdict:
        """Oracle says 401 for a wrong key and for a wrong clock; its own clock tells which. A 404 is a permission."""
        if status != 401:
            return Verdict.PASSES
        return Verdict.EXPIRED if abs(self._skew(headers)) > _MAX_SKEW else Verdict.REJECTED

    def _skew(self, headers: Headers) -> float:
        """Seconds by which Oracle's clock is before ours; none where it does not say."""
        try:
            return parsedate_to_datetime(headers.get("date") or "").timestamp() - self._clock.wall()
        except (ValueError, TypeError, OverflowError):
            return 0.0


def _served(top: Any) -> str | None:
    """Of a dedicated cluster the endpoint: a model's id beside it is none of its business."""
    mode = member(top, "servingMode")
    kind = text(member(mode, "servingType")) or ""
    return text(member(mode, "endpointId" if kind.upper() == "DEDICATED" else "modelId"))
