"""The model router: which model is asked for, and who answers for it?"""

from __future__ import annotations

from llmauth.context import Decision, Route, Target
from llmauth.http import Request
from llmauth.providers.base import ProviderHandler
from llmauth.storage.key_text import PREFIX

_REASON = "transparent: the model is not rewritten"


class ModelRouter:
    """`read_bodies` parses JSON bodies to learn the model; without it only a model that stands in the path is known."""

    def __init__(self, *, read_bodies: bool = False) -> None:
        self._read_bodies = read_bodies
        self._without_model: dict[str, tuple[Target, Decision]] = {}

    def resolve(self, route: Route, handler: ProviderHandler, request: Request) -> tuple[Target, Decision]:
        """The target that the route's instance is, with the model where it is known."""
        model = handler.model_of(request) if self._read_bodies or not handler.model_in_body else None
        # It is logged: a key that was put in its place is not shown.
        if model is not None and PREFIX not in model:
            return _answer(route, handler, model)
        answer = self._without_model.get(route.instance)
        if answer is None:
            answer = self._without_model[route.instance] = _answer(route, handler, None)
        return answer


def _answer(route: Route, handler: ProviderHandler, model: str | None) -> tuple[Target, Decision]:
    target = Target(instance=route.instance, provider=handler.provider, region=handler.region, model=model)
    text = "unread" if model is None else model
    return target, Decision(router="model", input=text, outcome=text, reason=_REASON)
