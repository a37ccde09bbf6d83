"""Who may prove what it is, and how: the methods of a configuration, their sessions, and the auth router."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from cryptography.x509 import Certificate

from llmauth import authenticators
from llmauth.authenticators import MethodOptions
from llmauth.authenticators.base import Authenticator, AuthSurroundings
from llmauth.authenticators.factors import SecondFactors
from llmauth.authenticators.failures import OnFailure
from llmauth.authenticators.flights import Flights
from llmauth.authenticators.mtls import ClientCertificates
from llmauth.authenticators.placeholder import Placeholder
from llmauth.authenticators.sessions import Sessions
from llmauth.authenticators.throttle import Throttle
from llmauth.authenticators.tokens import Tokens
from llmauth.clock import Clock
from llmauth.config.problems import ConfigError, Place, Problem
from llmauth.config.sections import Auth
from llmauth.config.settings import Settings
from llmauth.config.stores import open_store
from llmauth.config.watching import mark_of_roots
from llmauth.outbound import Outbound
from llmauth.routers.auth import AuthRouter
from llmauth.storage import token_key
from llmauth.storage.registry import KeyRegistry

# These reach nobody outside, so that another way there is nothing to them.
_AT_HOME = frozenset({"api_key", "basic", "mtls", "sigv4"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What all configurations share: the store of keys, the placeholder tokens, threads, the count of wrong values."""

    keys: KeyRegistry
    tokens: Tokens
    factors: SecondFactors
    flights: Flights
    throttle: Throttle
    environ: Mapping[str, str]
    clock: Clock
    on_failure: OnFailure

    @classmethod
    def open(cls, settings: Settings, environ: Mapping[str, str], clock: Clock, on_failure: OnFailure) -> Standing:
        """Nothing is read yet. StateError for a store that cannot be opened."""
        keys = open_store(settings, clock)
        return cls(
            keys=keys,
            tokens=Tokens(token_key.load_or_create(settings.home), clock),
            factors=SecondFactors(keys, clock),
            flights=Flights(),
            throttle=Throttle(clock),
            environ=environ,
            clock=clock,
            on_failure=on_failure,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Callers:
    """The methods of one configuration, each with what it was made of, their sessions, and who asks them.

    `certificates` is the method that wants some of clients, where there is one.
    """

    rules: Auth
    methods: Sequence[tuple[MethodOptions, str, Outbound, Authenticator]]
    sessions: Sessions
    certificates: ClientCertificates | None
    auth: AuthRouter

    def authorities(self) -> Sequence[Certificate] | None:
        """Whose client certificates are asked for on the TLS port, `None` where none are."""
        return self.certificates.authorities if self.certificates is not None else None

    def judges(self) -> Iterator[Authenticator]:
        """Those that are started and stopped: none while authentication is off."""
        if self.rules.enabled:
            yield self.sessions
            yield from (method for *_, method in self.methods)

    def beside(self, others: Iterable[Callers]) -> list[Authenticator]:
        """Those that no other configuration has."""
        theirs = {id(judge) for other in others for judge in other.judges()}
        return [judge for judge in self.judges() if id(judge) not in theirs]


def callers_of(settings: Settings, standing: Standing, outbound: Outbound, before: Callers | None = None) -> Callers:
    """Nothing is started yet. ConfigError for a method that cannot be used as it is written.

    A method of `before` that is configured in the same words goes on, with all that it remembers.
    """
    rules = settings.auth
    former = before if before is not None and before.rules.enabled and rules.enabled else None
    asked = AuthSurroundings(
        store=standing.keys, clock=standing.clock, outbound=outbound, environ=standing.environ, home=settings.home
    )
    try:
        methods = [
            (one, mark_of_roots(one), outbound, _same(one, outbound, former) or authenticators.build(one, asked))
            for one in rules.methods
        ]
    except ValueError as error:
        raise ConfigError([Problem(place=Place(source="auth.methods"), path="", message=str(error))]) from None
    judges = [method for *_, method in methods]
    sessions = _sessions(rules, judges, former)
    if sessions is None:
        sessions = Sessions(asked, rules.session_duration, judges, require_factor=rules.require_2fa)
    lasting = [sessions, *judges]
    auth = AuthRouter(
        [Placeholder(standing.tokens, lasting), *lasting],
        enabled=rules.enabled,
        clock=standing.clock,
        flights=standing.flights,
        throttle=standing.throttle,
        on_failure=standing.on_failure,
        factors=standing.factors,
        require_factor=rules.require_2fa,
    )
    certificates = next((one for one in judges if isinstance(one, ClientCertificates)), None)
    return Callers(
        rules=rules,
        methods=methods,
        sessions=sessions,
        certificates=certificates if rules.enabled else None,
        auth=auth,
    )


def start(judges: Iterable[Authenticator]) -> None:
    """Let each load what it needs, all or none; StateError for one that must not be used without it. Blocking."""
    begun: list[Authenticator] = []
    try:
        for judge in judges:
            begun.append(judge)
            judge.start()
    except BaseException:
        stop(begun)
        raise


def stop(judges: Iterable[Authenticator]) -> None:
    """End their threads. Blocking."""
    for judge in judges:
        with suppress(RuntimeError):  # one that failed while it started may have threads that never began
            judge.stop()


def _same(options: MethodOptions, outbound: Outbound, before: Callers | None) -> Authenticator | None:
    for written, roots, way, method in before.methods if before is not None else ():
        at_home = options.type in _AT_HOME
        if written == options and (at_home or (way is outbound and roots == mark_of_roots(options))):
            return method
    return None


def _sessions(rules: Auth, judges: Sequence[Authenticator], before: Callers | None) -> Sessions | None:
    """Those of before, where they are opened by the same methods and for as long."""
    if before is None:
        return None
    same = [method for *_, method in before.methods] == list(judges)
    rest = (before.rules.session_duration, before.rules.require_2fa) == (rules.session_duration, rules.require_2fa)
    return before.sessions if same and rest else None
