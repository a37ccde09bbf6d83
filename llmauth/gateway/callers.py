"""Who may prove what it is, and how: the methods of a configuration, their sessions, and the auth router."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from llmauth import authenticators
from llmauth.authenticators.base import AuthSurroundings
from llmauth.authenticators.factors import SecondFactors
from llmauth.authenticators.failures import OnFailure
from llmauth.authenticators.mtls import ClientCertificates
from llmauth.authenticators.placeholder import Placeholder
from llmauth.authenticators.sessions import Sessions
from llmauth.authenticators.tokens import Tokens
from llmauth.clock import Clock
from llmauth.config.problems import ConfigError, Place, Problem
from llmauth.config.settings import Settings
from llmauth.config.stores import open_store
from llmauth.outbound import Outbound
from llmauth.routers.auth import AuthRouter
from llmauth.storage import token_key
from llmauth.storage.registry import KeyRegistry


@dataclass(frozen=True, slots=True, kw_only=True)
class Callers:
    """The store that the methods share, what they open, and who asks them; `certificates` is the method that wants some
    of clients, where there is one."""

    keys: KeyRegistry
    tokens: Tokens
    sessions: Sessions
    certificates: ClientCertificates | None
    auth: AuthRouter


def callers_of(
    settings: Settings, environ: Mapping[str, str], clock: Clock, outbound: Outbound, on_failure: OnFailure
) -> Callers:
    """Nothing is read yet. StateError for a store that cannot be opened, ConfigError for a method that cannot be used
    as it is written."""
    keys, rules = open_store(settings, clock), settings.auth
    tokens = Tokens(token_key.load_or_create(settings.home), clock)
    asked = AuthSurroundings(store=keys, clock=clock, outbound=outbound, environ=environ, home=settings.home)
    try:
        methods = [authenticators.build(one, asked) for one in rules.methods]
    except ValueError as error:
        keys.close()
        raise ConfigError([Problem(place=Place(source="auth.methods"), path="", message=str(error))]) from None
    sessions = Sessions(asked, rules.session_duration, methods, require_factor=rules.require_2fa)
    lasting = [sessions, *methods]
    auth = AuthRouter(
        [Placeholder(tokens, lasting), *lasting],
        enabled=rules.enabled,
        clock=clock,
        on_failure=on_failure,
        factors=SecondFactors(keys, clock),
        require_factor=rules.require_2fa,
    )
    judges = methods if rules.enabled else []
    certificates = next((one for one in judges if isinstance(one, ClientCertificates)), None)
    return Callers(keys=keys, tokens=tokens, sessions=sessions, certificates=certificates, auth=auth)
