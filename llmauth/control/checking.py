"""Whether the credentials in use are accepted, and what they may do: asked by the process that holds them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

from llmauth.context import Target
from llmauth.gateway import Gateway
from llmauth.gateway.acceptance import Accepted, accepted
from llmauth.gateway.permissions import ANY_MODEL, Permissions, permissions
from llmauth.providers.base import ProviderHandler
from llmauth.secrets import Credential

Check = Callable[[Gateway, dict[str, Any]], Awaitable[dict[str, Any]]]
"""A question, and its answer as plain values."""


async def check(gateway: Gateway, question: dict[str, Any]) -> dict[str, Any]:
    """What a free call says to the credential of an instance; `accepted` is null where it has none now."""
    instance = str(question.get("instance"))
    told = await _with_credential(gateway, instance, lambda h, c: of_accepted(accepted(h, c, gateway.plan.outbound)))
    return {"instance": instance, "accepted": told}


async def permit(gateway: Gateway, question: dict[str, Any]) -> dict[str, Any]:
    """Which of Bedrock's actions the credential of an instance may do; null where it has none now."""
    instance, model = str(question.get("instance")), str(question.get("model") or ANY_MODEL)
    told = await _with_credential(
        gateway, instance, lambda h, c: of_permissions(permissions(h, c, gateway.plan.outbound, os.environ, model))
    )
    return {"instance": instance, "permissions": told}


async def _with_credential(
    gateway: Gateway, instance: str, ask: Callable[[ProviderHandler, Credential], dict[str, Any]]
) -> dict[str, Any] | None:
    handler = gateway.handlers.get(instance)
    if handler is None:
        return None
    held = gateway.credential.held(Target(instance=instance, provider=handler.provider))
    if held is None:
        return None
    return await asyncio.to_thread(ask, handler, held[0].credential)


def of_accepted(told: Accepted) -> dict[str, Any]:
    """As plain values; nothing of a credential or of an answer is in them."""
    return {"outcome": told.outcome, "call": told.call, "status": told.status, "reason": told.reason}


def of_permissions(told: Permissions) -> dict[str, Any]:
    """As plain values."""
    return {
        "principal": told.principal,
        "model": told.model,
        "actions": [
            {"action": one.action, "state": one.state, "way": one.way, "reason": one.reason} for one in told.actions
        ],
    }
