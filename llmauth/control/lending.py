"""What `llmauth run` asks of a running proxy: how programs reach it, and a session for the one that it starts."""

from __future__ import annotations

import os
from functools import partial
from typing import Any, TypeGuard

from llmauth.audit.records import Administered
from llmauth.authenticators.sessions import Opened
from llmauth.config.document import Instance
from llmauth.errors import GatewayError
from llmauth.gateway import Gateway
from llmauth.providers.base import ProviderHandler
from llmauth.rules import NO_RULES, Rules
from llmauth.storage.home import StateError

RUNNER = "LLMAUTH_RUNNER"
"""In the environment of a proxy that `llmauth run` started for its command alone: the number of that process."""
LONGEST = 30 * 86_400.0


def served(gateway: Gateway) -> dict[str, Any]:
    """Where programs reach it, whom they must believe, and which providers they find there.

    A port of 0 is one that it chose itself. `runner` is the process that it serves alone, null where it serves all.
    """
    server = gateway.settings.server
    runner = os.environ.get(RUNNER, "")
    return {
        "host": server.host,
        "port": server.port,
        "certificate": gateway.authority.certificate_pem(),
        "authenticates": gateway.settings.auth.enabled,
        "instances": [_instance(gateway, handler) for handler in gateway.handlers.values()],
        "runner": int(runner) if runner.isdigit() else None,
    }


def _instance(gateway: Gateway, handler: ProviderHandler) -> dict[str, Any]:
    return {
        "name": handler.name,
        "provider": handler.provider,
        "hosts": sorted(origin.host for origin in handler.hosts),
        "default": handler.options.default,
        "region": handler.region,
        "project": getattr(handler.options, "project", None),
        "variables": _variables(gateway.settings.instances[handler.name]),
    }


def _variables(instance: Instance) -> list[str]:
    """Those that the configuration names: what they hold is the proxy's to know."""
    named = (getattr(strategy, "variable", None) for strategy in instance.strategies)
    return [name for name in named if isinstance(name, str)]


async def lend(gateway: Gateway, question: dict[str, Any]) -> dict[str, Any]:
    """A session of `user` for `seconds`; with `shown_at`, a list of hosts, one that opens tunnels to these and may use
    nothing there, for a check. Of all answers this one alone holds a secret: the owner of the state folder,
    who is the only one to hear it, could make any number of keys."""
    user, seconds = question.get("user"), question.get("seconds")
    if not isinstance(user, str) or not _is_time(seconds):
        return {"error": "a session is lent to a user, for at most 30 days"}
    rules = _rules(question)
    if rules is None:
        return {"error": "shown_at is a list of host names"}
    try:
        gateway.recording.require_usable()
        opened: Opened = await gateway.plan.auth.run(
            partial(gateway.plan.callers.sessions.lend, user, float(seconds), rules)
        )
        await _record(gateway, "session lent", user, opened.id)
    except (GatewayError, StateError, ValueError) as error:
        return {"error": _sentence(error)}
    return {"id": opened.id, "token": opened.token.reveal(), "seconds": opened.expires_in}


def _is_time(seconds: Any) -> TypeGuard[float]:
    return isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 < seconds <= LONGEST


def _rules(question: dict[str, Any]) -> Rules | None:
    """None for hosts that are none: a session that was to be less than the user's must not become all of it."""
    if "shown_at" not in question:
        return NO_RULES
    hosts = question["shown_at"]
    if not isinstance(hosts, list) or not all(isinstance(host, str) for host in hosts):
        return None
    return Rules(models=(), instances=(), hosts=tuple(hosts), methods=("session",))


async def take_back(gateway: Gateway, question: dict[str, Any]) -> dict[str, Any]:
    """End a session that was lent; `ended` is false where it had ended before."""
    session = question.get("id")
    if not isinstance(session, str):
        return {"error": "which session?"}
    try:
        ended = await gateway.plan.auth.run(partial(gateway.plan.callers.sessions.take_back, session))
        if ended:
            await _record(gateway, "session taken back", str(question.get("user", "")), session)
    except (GatewayError, StateError) as error:
        return {"error": _sentence(error)}
    return {"ended": ended}


async def _record(gateway: Gateway, action: str, user: str, session: str) -> None:
    if gateway.recording.log is not None:
        told = Administered(action=action, by=f"cli:{user}", subject=session, user=user, name="run")
        await gateway.recording.log.note(told, durable=True).wait()


def _sentence(error: Exception) -> str:
    hint = getattr(error, "hint", None)
    return f"{error} {hint}".strip() if hint else str(error)
