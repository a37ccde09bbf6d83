"""How the values of variables are made: of the proxy, the credential, the files, and what the user has already."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from llmauth.clients import exempt, java
from llmauth.clients.served import ServedInstance, ServedProxy
from llmauth.clients.trust import JAVA_PASSWORD, PRELOAD, TrustFiles
from llmauth.secrets import Secret

PLACEHOLDER = "llmauth-placeholder"
"""What stands in a provider's slot where the proxy asks for no credential: SDKs insist on some text."""
AWS_ID, AWS_SECRET = "AKIALLMAUTHXXXXXXXXX", "placeholder"
"""In AWS's own form, for tools that look at it. What it signs the proxy signs anew, and it opens nothing anywhere."""

# Programs that find their way through a proxy by themselves, and ask their user about a key in ANTHROPIC_API_KEY.
_BY_TOKEN = frozenset({"claude"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Ambient:
    """Which clouds' identities this user has on this machine besides: what asks for them is left alone."""

    aws: bool = False
    google: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """All that a variable's value can be made of; `program` is the name of the command without its folder."""

    proxy: ServedProxy
    credential: Secret | None
    trust: TrustFiles
    environ: Mapping[str, str]
    ambient: Ambient
    program: str
    base_urls: bool

    @property
    def slot(self) -> str:
        """What stands where an SDK keeps its provider's key.

        The credential itself, and no dummy beside an authenticated tunnel: Java names itself to a proxy only when that
        asks, which it does not for providers' hosts; and by a base URL there is no tunnel.
        """
        return PLACEHOLDER if self.credential is None else self.credential.reveal()

    def instance_of(self, provider: str) -> ServedInstance | None:
        """The instance that the type's native host leads to."""
        return self.proxy.instance(provider)

    def has(self, *names: str) -> bool:
        """Whether the user has set one of these."""
        return any(self.environ.get(name) for name in names)


Value = Callable[[Wanted], str | None]
"""None leaves a variable as the user has it."""

# ---- the way, and whom to believe ----------------------------------------------------------------------------------


def bundle(wanted: Wanted) -> str:
    """Every root and ours."""
    return str(wanted.trust.bundle)


def extra(wanted: Wanted) -> str:
    """Ours, for what is added to a program's own."""
    return str(wanted.trust.extra)


def bundle_of_tls(wanted: Wanted) -> str | None:
    """The same, where the proxy itself speaks TLS."""
    return bundle(wanted) if wanted.proxy.scheme == "https" else None


def node_options(wanted: Wanted) -> str:
    """The user's own, and the file that is loaded first."""
    path = str(PRELOAD).replace("\\", "\\\\").replace('"', '\\"')
    before, ours = wanted.environ.get("NODE_OPTIONS", "").strip(), f'--require "{path}"'
    return before if ours in before else f"{before} {ours}".strip()


def java_options(wanted: Wanted) -> str:
    """The user's own, the way, and the trust store."""
    store = (str(wanted.trust.java), JAVA_PASSWORD)
    return java.options(wanted.environ.get("JAVA_TOOL_OPTIONS", ""), wanted.proxy, store, exempt.no_proxy(wanted))


# ---- who calls -----------------------------------------------------------------------------------------------------


def slot(provider: str) -> Value:
    """The credential, where this provider is served: elsewhere it would be sent to a stranger."""
    return lambda wanted: wanted.slot if wanted.proxy.serves(provider) else None


def anthropic_key(wanted: Wanted) -> str | None:
    """For all but those that take a token."""
    return None if wanted.program in _BY_TOKEN else slot("anthropic")(wanted)


def anthropic_token(wanted: Wanted) -> str | None:
    """For those alone: with both of them set, SDKs send both, and Claude Code complains."""
    return slot("anthropic")(wanted) if wanted.program in _BY_TOKEN else None


def aws_dummy(value: str) -> Value:
    """Where the user has no identity at AWS: one that there is may be needed for more than Bedrock."""
    return lambda wanted: value if wanted.proxy.serves("bedrock") and not wanted.ambient.aws else None


def aws_region(wanted: Wanted) -> str | None:
    """That of the instance, where the user has named none."""
    instance = wanted.instance_of("bedrock")
    return None if instance is None or wanted.has("AWS_REGION", "AWS_DEFAULT_REGION") else instance.region


def azure_endpoint(wanted: Wanted) -> str | None:
    """That of the instance, where the user has named none."""
    instance = wanted.instance_of("azure")
    return None if instance is None or wanted.has("AZURE_OPENAI_ENDPOINT") else f"https://{instance.hosts[0]}"


def google_file(wanted: Wanted) -> str | None:
    """A placeholder, where the user has no identity at Google."""
    return str(wanted.trust.google) if wanted.proxy.serves("vertex") and not wanted.ambient.google else None


def google_vertex(wanted: Wanted) -> str | None:
    """Chosen where the user has chosen nothing: the other API of Gemini is none that is served here."""
    chosen = ("GOOGLE_API_KEY", "GEMINI_API_KEY", "GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_GENAI_USE_ENTERPRISE")
    return "true" if wanted.proxy.serves("vertex") and not wanted.has(*chosen) else None


def google_project(wanted: Wanted) -> str | None:
    """That of the instance, where the user has named none."""
    instance = wanted.instance_of("vertex")
    return None if instance is None or wanted.has("GOOGLE_CLOUD_PROJECT") else instance.project


def google_location(wanted: Wanted) -> str | None:
    """That of the instance, where the user has named none."""
    instance = wanted.instance_of("vertex")
    return None if instance is None or wanted.has("GOOGLE_CLOUD_LOCATION") else instance.region


# ---- base URLs -----------------------------------------------------------------------------------------------------


def base_url(provider: str, rest: str) -> Value:
    """A provider's API by a path at the proxy, where base URLs are wanted."""

    def value(wanted: Wanted) -> str | None:
        if not wanted.base_urls or not wanted.proxy.serves(provider):
            return None
        instance = wanted.instance_of(provider)
        return f"{wanted.proxy.url}/transparent/{instance.name if instance else provider}{rest}"

    return value


def aws_endpoint(wanted: Wanted) -> str | None:
    """Over TLS alone: botocore sends a bearer token by no other way, not even to loopback."""
    return base_url("bedrock", "")(wanted) if wanted.proxy.scheme == "https" else None
