"""The gateway's own paths of protocol mode: which protocol is spoken, what is asked, and of whom."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote

from llmauth.codecs.anthropic.errors import REFUSALS as ANTHROPIC
from llmauth.codecs.base import RefusalShape
from llmauth.codecs.openai.errors import REFUSALS as OPENAI
from llmauth.context import ClientProtocol, EnvelopeRoute, Operation, ProtocolRoute, Route, TransparentRoute
from llmauth.errors import BadRequest, NotFound, UnknownInstance
from llmauth.providers.base import ProviderHandler
from llmauth.providers.speaking import ANTHROPIC_PATHS, OPENAI_PATHS, quoted
from llmauth.routers.catalogue import Catalogue
from llmauth.storage.key_text import shown

SHAPES: Mapping[ClientProtocol, RefusalShape] = {"openai": OPENAI, "anthropic": ANTHROPIC}

_PATHS: Mapping[ClientProtocol, Mapping[Operation, str]] = {"openai": OPENAI_PATHS, "anthropic": ANTHROPIC_PATHS}
_OPERATIONS: Mapping[ClientProtocol, Mapping[str, Operation]] = {
    protocol: {**{path.removeprefix("/v1/"): operation for operation, path in paths.items()}, "models": "models"}
    for protocol, paths in _PATHS.items()
}
# The part of a path that is routed on holds these characters only, so that no second spelling of a name exists.
_NAMED = re.compile(r"/(openai|anthropic)/([A-Za-z0-9._-]+)(?:/v1(?=[/?]|\Z))?(?:/([^?]*))?(?:\?.*)?\Z", re.DOTALL)
_ROOT = re.compile(r"/v1/([^?]+)(?:\?.*)?\Z", re.DOTALL)
_MODEL = re.compile(r"models/([^/]+(?:/[^/]+)*)\Z")
_ENVELOPE = re.compile(r"(?:/v1)?/bedrock/invoke-model(-with-response-stream)?(?:\?.*)?\Z", re.DOTALL)
_INVOKE = re.compile(
    r"/model/([^?]+)/(invoke|invoke-with-response-stream|converse|converse-stream|count-tokens)(\?.*)?\Z", re.DOTALL
)
ROOTS = (*OPENAI_PATHS.values(), ANTHROPIC_PATHS["messages"], "/v1/models")


class Doors:
    """Answers by the path alone. `names` leads from what may stand for an instance in a path to that instance."""

    def __init__(
        self, instances: Mapping[str, ProviderHandler], names: Mapping[str, str], catalogue: Catalogue
    ) -> None:
        self._instances = instances
        # A model's short name stands for its instance as well (`/openai/claude`), where it names nothing else.
        self._names = {**dict(catalogue.names()), **names}
        self._catalogue = catalogue

    def route(self, path: str) -> tuple[Route, str] | None:
        """The route and what led to it, `None` where this is no path of protocol mode.

        NotFound, UnknownInstance or BadRequest where it is one that leads nowhere.
        """
        if (found := _NAMED.match(path)) is not None:
            return self._named(_protocol(found[1]), found[2], found[3] or "", path)
        if (found := _ENVELOPE.match(path)) is not None:
            return EnvelopeRoute(path=path, stream=found[1] is not None), "envelope of Bedrock's InvokeModel"
        if (found := _INVOKE.match(path)) is not None:
            return self.invoke(found[1], found[2], found[3] or "")
        if (found := _ROOT.match(path)) is not None:
            return self._at_root(found[1], path)
        return None

    def at_host(self, protocol: ClientProtocol, path: str, instance: str | None) -> tuple[ProtocolRoute, str] | None:
        """The route of a path at a native host that is answered by others; `None` for what is no inference."""
        found = _ROOT.match(path)
        asked = operation_of(protocol, found[1]) if found is not None else None
        if asked is None:
            return None
        operation, name = asked
        route = ProtocolRoute(protocol=protocol, operation=operation, path=path, instance=instance, name=name)
        return route, f"host of {protocol}, rerouted"

    @staticmethod
    def inference(protocol: ClientProtocol) -> tuple[str, ...]:
        """The paths that are answered at a rerouted host of a protocol."""
        return tuple(f"/v1/{rest}" for rest in _OPERATIONS[protocol])

    def _named(self, protocol: ClientProtocol, name: str, rest: str, path: str) -> tuple[Route, str]:
        instance = self._names.get(name)
        if instance is None:
            raise self.unknown(protocol, name)
        asked = operation_of(protocol, rest)
        home = self._instances[instance].at_home(protocol, rest) if rest else None
        if home is not None and (asked is None or asked[0] in ("models", "model")):
            # What is not translated passes as it came where the protocol is the provider's own.
            query = path.partition("?")[2]
            own = home + (f"?{query}" if query else "")
            return TransparentRoute(instance=instance, path=own, native=False), "the provider's own protocol"
        if asked is not None:
            operation, model = asked
            why = f"path /{protocol}/{name}"
            return ProtocolRoute(protocol=protocol, operation=operation, path=path, instance=instance, name=model), why
        served = ", ".join(_OPERATIONS[protocol])
        raise NotFound(
            f"'{shown(rest)}' is nothing that can be asked of instance '{instance}' in protocol {protocol}.",
            hint=f"Served are: {served}.",
        )

    def _at_root(self, rest: str, path: str) -> tuple[Route, str] | None:
        for protocol in _OPERATIONS:
            asked = operation_of(protocol, rest)
            if asked is not None:
                operation, name = asked
                return ProtocolRoute(protocol=protocol, operation=operation, path=path, name=name), "the model decides"
        return None

    def invoke(self, written: str, operation: str, query: str = "") -> tuple[TransparentRoute, str]:
        """Bedrock's own paths at the root: short names are looked up, ids and ARNs pass as they were written."""
        alias = self._catalogue.alias(unquote(written), "bedrock")
        if alias is not None:
            path = f"/model/{quoted(alias.model)}/{operation}{query}"
            return TransparentRoute(instance=alias.instance, path=path, native=False), alias.reason
        found = self.bedrock(unquote(written))
        return TransparentRoute(
            instance=found, path=f"/model/{written}/{operation}{query}", native=False
        ), "Bedrock's path"

    def bedrock(self, model: str) -> str:
        """The Bedrock instance that serves an id; UnknownInstance where there is none."""
        instance = self._catalogue.default("bedrock", model)
        if instance is None:
            raise UnknownInstance("No instance of type 'bedrock' serves this model in its region.")
        return instance

    def unknown(self, protocol: ClientProtocol, name: str) -> UnknownInstance:
        """The refusal of a name that stands for no instance."""
        names = ", ".join(list(self._instances)[:20]) or "none"
        return UnknownInstance(
            f"No instance is named '{shown(name)}'.", hint=f"Call /{protocol}/{{name}}/… with one of: {names}."
        )


def operation_of(protocol: ClientProtocol, rest: str) -> tuple[Operation, str] | None:
    """The operation that a path below `/v1` names, with the model where it names one."""
    operation = _OPERATIONS[protocol].get(rest)
    if operation is not None:
        return operation, ""
    model = _MODEL.match(rest)
    if model is None:
        return None
    try:
        return "model", unquote(model[1], errors="strict")
    except UnicodeDecodeError:
        raise BadRequest("The model in this path is not valid UTF-8.") from None


def _protocol(word: str) -> ClientProtocol:
    return "openai" if word == "openai" else "anthropic"
