"""The mode router: how is this request meant? Judged by its door, its host and its path alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from llmauth.addresses import HostPort, normalise_host
from llmauth.codecs.anthropic.errors import REFUSALS as ANTHROPIC
from llmauth.codecs.base import RefusalShape
from llmauth.codecs.converse.errors import REFUSALS as CONVERSE
from llmauth.codecs.gemini.errors import REFUSALS as GEMINI
from llmauth.codecs.openai.errors import REFUSALS as OPENAI
from llmauth.codecs.oracle.errors import REFUSALS as ORACLE
from llmauth.codecs.watsonx.errors import REFUSALS as WATSONX
from llmauth.context import ClientProtocol, Decision, EnvelopeRoute, ProtocolRoute, Route, TransparentRoute
from llmauth.egress import Egress
from llmauth.errors import BadRequest, Forbidden, GatewayError, HostNotServed, InternalError, NotFound, UnknownInstance
from llmauth.http import Door, Request
from llmauth.providers import ALIASES, HANDLERS, TYPES
from llmauth.providers.base import ProviderHandler
from llmauth.providers.speaking import quoted
from llmauth.routers.catalogue import Catalogue
from llmauth.routers.doors import ROOTS, SHAPES, Doors
from llmauth.storage.key_text import shown
from llmauth.token_hosts.base import TokenHost

# The part of a gateway path that we route on: these characters only, between single slashes, so that no second
# spelling of a name exists. What follows is the provider's, and passes as it came.
_TRANSPARENT = re.compile(r"/transparent/([A-Za-z0-9._-]+)(?=[/?]|\Z)")
_SHAPES: tuple[tuple[str, RefusalShape], ...] = (
    ("/anthropic/", ANTHROPIC),
    ("/v1/messages", ANTHROPIC),
    ("/v1/bedrock/", CONVERSE),
    ("/bedrock/", CONVERSE),
    ("/model/", CONVERSE),
    ("/v1/projects/", GEMINI),
    ("/v1beta1/", GEMINI),
    ("/ml/", WATSONX),
    ("/20231130/", ORACLE),
)


class Passage(Enum):
    """What becomes of a CONNECT."""

    INTERCEPT = "intercept"  # we end the TLS, and judge every request
    TUNNEL = "tunnel"  # bytes pass untouched


@dataclass(frozen=True, slots=True)
class _Way:
    """An instance, and why it was chosen; made once, since neither depends on what a client wrote."""

    instance: str
    decision: Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Reroute:
    """A provider's own host whose inference calls others answer: the instance, or whomever the model leads to."""

    protocol: ClientProtocol
    instance: str | None = None


class ModeRouter:
    """Answers from tables that are made once. `gateway_hosts` are normalised names under which clients reach us.

    `token_hosts` are intercepted too and never routed: what is asked of them is answered before a route is sought.
    `rerouted` are hosts in whose place others answer: what comes through a tunnel to them never goes there by its host.
    """

    def __init__(
        self,
        instances: Mapping[str, ProviderHandler],
        gateway_hosts: frozenset[str],
        egress: Egress | None = None,
        token_hosts: Mapping[HostPort, TokenHost] | None = None,
        catalogue: Catalogue | None = None,
        rerouted: Mapping[HostPort, Reroute] | None = None,
    ) -> None:
        self._instances = instances
        self._gateway_hosts = gateway_hosts
        self._egress = egress or Egress()
        self._owners = _owners(instances)
        self._token_hosts = token_hosts or {}
        self._rerouted = rerouted or {}
        self._host_names = {host.host: host for host in (*self._owners, *self._token_hosts, *self._rerouted)}
        self._by_host = _ways_by_host(instances, self._owners)
        self._by_name = _ways_by_name(instances)
        named = {name: way.instance for name, way in self._by_name.items()}
        self._doors = Doors(instances, named, catalogue or Catalogue(instances))

    def intercepts(self, target: HostPort) -> bool:
        """Whether a tunnel to this place is ours to open: a provider's or token host and port, or a name of ours."""
        return (
            target in self._owners
            or target in self._token_hosts
            or target.host in self._gateway_hosts
            or target in self._rerouted
        )

    def passage(self, target: HostPort) -> Passage:
        """What becomes of a CONNECT to this place; HostNotServed when nothing does."""
        if self.intercepts(target):
            return Passage.INTERCEPT
        # A provider's name on another port is no place to be tunnelled to: who speaks to a provider is seen.
        if target.host not in self._host_names and self._egress.permits(target):
            return Passage.TUNNEL
        raise self._not_served(target)

    def plain(self, request: Request) -> HostPort | None:
        """The place that a plain http:// request is carried to untouched, `None` where it must be routed as ours.

        Such a place has an entry of its own in the egress policy, and is neither a provider's host nor a name of ours.
        """
        if request.door is not Door.ABSOLUTE or request.url.scheme != "http":
            return None
        target = HostPort(_normalised(request.url.host), request.url.port)
        if target.host in self._gateway_hosts or target.host in self._host_names:
            return None
        return target if self._egress.carries_plain(target) else None

    def route(self, request: Request) -> tuple[Route, Decision]:
        """The route and why; NotFound, UnknownInstance, BadRequest, Forbidden or HostNotServed.

        A native route keeps the request's own URL; one by path goes where the instance's `forward` says.
        """
        if request.door is Door.TUNNEL:
            return self._route_tunnel(request)
        if request.door is Door.GATEWAY:
            return self._route_path(request.url.path)
        if request.door is Door.ABSOLUTE:
            return self._route_absolute(request)
        raise InternalError("A CONNECT is no request to be routed.")

    def invoke(self, model: str, *, stream: bool) -> TransparentRoute:
        """The route of Bedrock's InvokeModel for a model, by a short name or an id; UnknownInstance for nobody's."""
        return self._doors.invoke(quoted(model), "invoke-with-response-stream" if stream else "invoke")[0]

    def shape_of(self, request: Request) -> RefusalShape:
        """The shape in which this client expects to be refused. Never refuses; OpenAI's where nothing tells."""
        target = self._target(request)
        if target is not None and target in self._token_hosts:
            return self._token_hosts[target].shape
        if target is not None and target in self._rerouted:
            return SHAPES[self._rerouted[target].protocol]
        if target in self._owners:
            return self._instances[self._owners[target][0]].shape_of(request.url.path)
        return self._shape_of_path(request.url.path)

    def _route_tunnel(self, request: Request) -> tuple[Route, Decision]:
        target = request.tunnel or request.url.origin
        if target in self._token_hosts:  # whoever owns it besides
            raise self._not_served(target)
        reroute = self._rerouted.get(target)
        if reroute is not None:
            found = self._doors.at_host(reroute.protocol, request.url.path, reroute.instance)
            if found is None:
                raise self._no_inference(target, reroute.protocol)
            return _protocol_mode(*found)
        way = self._by_host.get(target)
        if way is not None:
            return TransparentRoute(instance=way.instance, path=request.url.path, native=True), way.decision
        if target in self._owners:
            raise _ambiguous(target, self._owners[target])
        if target.host in self._gateway_hosts:
            return self._route_path(request.url.path)
        raise self._not_served(target)

    def _route_absolute(self, request: Request) -> tuple[Route, Decision]:
        url = request.url
        if url.scheme == "https":
            raise BadRequest("https:// in absolute form is not served.", hint="Open a tunnel with CONNECT.")
        host = _normalised(url.host)
        if host in self._gateway_hosts:
            return self._route_path(url.path)
        if host in self._host_names:
            raise Forbidden(
                f"Plain http:// to {host} is refused: its credential would travel in clear text.",
                hint="Use https:// through the same proxy.",
            )
        raise self._not_served(HostPort(host, url.port))

    def _route_path(self, path: str) -> tuple[Route, Decision]:
        found = _TRANSPARENT.match(path)
        if found is None:
            other = self._doors.route(path)
            if other is None:
                raise self._not_found(path)
            return _protocol_mode(*other)
        way = self._by_name.get(found[1])
        if way is None:
            raise self._unknown(found[1])
        rest = path[found.end() :]
        native_path = rest if rest.startswith("/") else f"/{rest}"
        return TransparentRoute(instance=way.instance, path=native_path, native=False), way.decision

    def _not_found(self, path: str) -> GatewayError:
        first = path[1:].partition("?")[0].partition("/")[0]
        seen = shown(path.partition("?")[0])
        if first == "transparent" and path.startswith("/transparent/") and len(seen) > len("/transparent/"):
            return BadRequest(f"No instance name can be read from '{seen}'.", hint=self._paths())
        return NotFound(f"Nothing is served at '{seen}'.", hint=self._paths())

    def _unknown(self, name: str) -> UnknownInstance:
        kind = ALIASES.get(name, name)
        what = (
            f"No instance of type '{kind}' is configured."
            if kind in TYPES
            else f"No instance is named '{shown(name)}'."
        )
        return UnknownInstance(what, hint=self._paths())

    def _paths(self) -> str:
        if not self._instances:
            return "This gateway has no instance configured."
        names = _listed(f"/transparent/{name}/…" for name in self._instances)
        return (
            f"Served are {', '.join(ROOTS)}, those of OpenAI's below /openai/{{instance}} too and those of Anthropic's "
            f"below /anthropic/{{instance}}, and the provider's own path after one of: {names}."
        )

    def _no_inference(self, target: HostPort, protocol: ClientProtocol) -> NotFound:
        owners = _listed(f"/transparent/{name}/…" for name in self._owners.get(target, ()))
        return NotFound(
            f"Nothing but inference is answered in the place of {target.host}.",
            hint=f"Served are: {', '.join(Doors.inference(protocol))}"
            + (f"; the host itself by the path {owners}." if owners else "."),
        )

    def _not_served(self, target: HostPort) -> HostNotServed:
        hosts = _listed(f"{handler.base.authority} ({name})" for name, handler in self._instances.items())
        return HostNotServed(
            f"The host {str(target)[:200]} is not served here.",
            hint=f"Served are: {hosts}." if hosts else "This gateway has no instance configured.",
        )

    def _target(self, request: Request) -> HostPort | None:
        """The provider's host that the request was meant for, whatever its port where the port cannot be right."""
        if request.door is Door.ABSOLUTE:
            return self._host_names.get(request.url.host.lower())
        return None if request.door is Door.GATEWAY else request.tunnel or request.url.origin

    def _shape_of_path(self, path: str) -> RefusalShape:
        found = _TRANSPARENT.match(path)
        if found is None:
            return _shape_by_prefix(path)
        way, rest = self._by_name.get(found[1]), path[found.end() :]
        if way is not None:
            return self._instances[way.instance].shape_of(rest)
        kind = ALIASES.get(found[1], found[1])
        of_kind = (handler.shape for served, handler in HANDLERS.items() if served == kind)
        # Of a name that nobody knows, the provider's own path tells which SDK is asking.
        return next(of_kind, None) or _shape_by_prefix(rest)


def _shape_by_prefix(path: str) -> RefusalShape:
    return next((shape for prefix, shape in _SHAPES if path.startswith(prefix)), OPENAI)


def _owners(instances: Mapping[str, ProviderHandler]) -> dict[HostPort, tuple[str, ...]]:
    owners: dict[HostPort, tuple[str, ...]] = {}
    for name, handler in instances.items():
        for host in sorted(handler.hosts):
            owners[host] = (*owners.get(host, ()), name)
    return owners


def _ways_by_host(
    instances: Mapping[str, ProviderHandler], owners: Mapping[HostPort, tuple[str, ...]]
) -> dict[HostPort, _Way]:
    """Hosts with one owner, or with one owner that is marked as the default; what is left out is ambiguous."""
    ways = {}
    for host, names in owners.items():
        marked = [name for name in names if instances[name].options.default]
        chosen = names if len(names) == 1 else marked
        if len(chosen) == 1:
            reason = "owns the host" if len(names) == 1 else f"default of {len(names)} instances that share the host"
            ways[host] = _way(f"tunnel {host}", chosen[0], reason)
    return ways


def _ways_by_name(instances: Mapping[str, ProviderHandler]) -> dict[str, _Way]:
    """What may stand after /transparent/: every instance, then the types that have one, then the types' other names."""
    ways = {name: _way(f"path /transparent/{name}", name, "the instance's name") for name in instances}
    for word, kind in [*zip(TYPES, TYPES, strict=True), *ALIASES.items()]:
        of_kind = [name for name, handler in instances.items() if handler.provider == kind]
        if of_kind and word not in ways:
            name = next((name for name in of_kind if instances[name].options.default), of_kind[0])
            ways[word] = _way(f"path /transparent/{word}", name, f"the default instance of type {kind}")
    return ways


def _way(judged: str, instance: str, reason: str) -> _Way:
    return _Way(instance, Decision(router="mode", input=judged, outcome=f"transparent: {instance}", reason=reason))


def _protocol_mode(route: Route, why: str) -> tuple[Route, Decision]:
    if isinstance(route, ProtocolRoute):
        outcome = f"protocol: {route.protocol} {route.operation}"
    else:
        outcome = "envelope" if isinstance(route, EnvelopeRoute) else f"transparent: {route.instance}"
    return route, Decision(router="mode", input="path", outcome=outcome, reason=why)


def _ambiguous(target: HostPort, names: tuple[str, ...]) -> Forbidden:
    return Forbidden(
        f"{target.host} belongs to several instances: {_listed(names)}.",
        hint="Call one by its path /transparent/{name}/…, or have one of them marked 'default: true'.",
    )


def _normalised(host: str) -> str:
    try:
        return normalise_host(host)
    except ValueError:
        raise BadRequest("The host in the request line is not a host name.") from None


def _listed(items: Iterable[str]) -> str:
    """The first twenty, so that a refusal stays readable."""
    every = list(items)
    return ", ".join(every[:20]) + (f" and {len(every) - 20} more" if len(every) > 20 else "")
