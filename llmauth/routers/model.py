"""The model router: which model is asked for, and who answers for it?"""

from __future__ import annotations

from llmauth.context import Decision, ProtocolRoute, Target, TransparentRoute
from llmauth.http import Request
from llmauth.providers.base import ProviderHandler
from llmauth.providers.named import Call, Named
from llmauth.routers.catalogue import Catalogue, Found
from llmauth.storage.key_text import PREFIX
from llmauth.websocket.handshake import is_asked

_REASON = "transparent: the model is not rewritten"


class ModelRouter:
    """In transparent mode the route names the instance, in protocol mode the model may.

    `read_bodies` parses the JSON of transparent requests too, to learn the model; without it only one that stands in
    the path is known there, or one that is asked for.
    """

    def __init__(self, catalogue: Catalogue, *, read_bodies: bool = False) -> None:
        self._catalogue = catalogue
        self.reads_bodies = read_bodies
        self._without_model: dict[str, tuple[Target, Decision]] = {}

    def choose(self, route: ProtocolRoute, model: str) -> tuple[Found, Decision]:
        """Who answers in protocol mode, and by what name it knows the model; UnknownModel for nobody."""
        found = self._catalogue.find(model) if route.instance is None else self._catalogue.within(route.instance, model)
        outcome = f"{found.instance}: {found.model}"
        return found, Decision(router="model", input=model[:200], outcome=outcome[:300], reason=found.reason)

    def named(self, path: str, handler: ProviderHandler, request: Request, *, read_body: bool = False) -> Named | None:
        """All models that a native request names; `path` is the provider's own. None where nobody wants to know.

        `read_body` asks for the body to be read as well: that takes milliseconds for a long one.
        """
        if not (read_body or self.reads_bodies):
            return handler.named(Call(method=request.method, path=path)) if handler.model_in_path else None
        websocket = is_asked(request.headers)
        headers, body = request.headers, request.body
        call = Call(method=request.method, path=path, headers=headers, body=body, websocket=websocket)
        return handler.named(call)

    def resolve(
        self, route: TransparentRoute, handler: ProviderHandler, named: Named | None
    ) -> tuple[Target, Decision]:
        """The target that the route's instance is, with the model where it is known."""
        model = None if named is None else named.model
        # It is logged: a key that was put in its place is not shown.
        if model is not None and PREFIX not in model:
            return _answer(route, handler, model)
        answer = self._without_model.get(route.instance)
        if answer is None:
            answer = self._without_model[route.instance] = _answer(route, handler, None)
        return answer


def target_of(found: Found, handler: ProviderHandler) -> Target:
    """The target of a model that was chosen, by the provider's own name of it."""
    model = handler.upstream(found.model)
    return Target(instance=found.instance, provider=handler.provider, region=handler.region, model=model)


def _answer(route: TransparentRoute, handler: ProviderHandler, model: str | None) -> tuple[Target, Decision]:
    target = Target(instance=route.instance, provider=handler.provider, region=handler.region, model=model)
    text = "unread" if model is None else model
    return target, Decision(router="model", input=text, outcome=text, reason=_REASON)
