"""The provider router: which handler serves an instance?"""

from __future__ import annotations

from collections.abc import Mapping

from llmauth.context import Decision, Target, TransparentRoute
from llmauth.errors import UnknownInstance
from llmauth.providers.base import ProviderHandler
from llmauth.routers.catalogue import Found


class ProviderRouter:
    """Looks the instance up; every answer is made once."""

    def __init__(self, instances: Mapping[str, ProviderHandler]) -> None:
        self._answers = {name: (handler, _decision(name, handler)) for name, handler in instances.items()}

    def handler(self, where: Target | TransparentRoute | Found) -> tuple[ProviderHandler, Decision]:
        """The handler of an instance; UnknownInstance where there is none of that name."""
        answer = self._answers.get(where.instance)
        if answer is None:
            names = ", ".join(self._answers) or "none"
            raise UnknownInstance(f"No instance is named '{where.instance[:100]}'.", hint=f"Configured are: {names}.")
        return answer


def _decision(name: str, handler: ProviderHandler) -> Decision:
    outcome = f"{handler.provider} {handler.region}" if handler.region else handler.provider
    return Decision(router="provider", input=name, outcome=outcome, reason="as configured")
