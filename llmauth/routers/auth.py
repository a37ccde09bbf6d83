"""Who is calling? Answered from memory where that suffices, else by a few threads of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from llmauth.authenticators.base import Authenticator, Presented, as_of_now
from llmauth.authenticators.factors import HEADER as FACTOR
from llmauth.authenticators.factors import LASTING, SecondFactors, require_code
from llmauth.authenticators.failures import Failures, OnFailure, reason_of
from llmauth.authenticators.flights import QUEUE_LIMIT, WORKERS, Flights
from llmauth.authenticators.pairs import METHOD as SIGNED
from llmauth.authenticators.presented import Claim, decide, invalid, raw_slots
from llmauth.authenticators.sigv4 import Promise
from llmauth.authenticators.throttle import Throttle
from llmauth.authenticators.tokens import ByPlaceholder
from llmauth.clock import Clock
from llmauth.context import Decision, Identity
from llmauth.errors import BadRequest, GatewayError, Unauthenticated, Unavailable
from llmauth.http import Door, Request
from llmauth.routers.judges import Judges

Answer = tuple[Identity | None, Decision]

ANONYMOUS: Final = Identity(user="anonymous", method="none")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A request that memory could not answer; hand it to `AuthRouter.authenticate`."""

    request: Request
    tunnel: Identity | None
    intercepted: bool
    gateway: bool
    presented: tuple[Presented, ...]
    body: bytes | None = field(repr=False)
    code: str | None = field(repr=False)
    started: float


@dataclass(frozen=True, slots=True)
class Proof:
    """What a connection presented, and what that proved: the same bytes on the same connection prove it again."""

    presented: tuple[list[bytes] | None, ...] = field(repr=False)
    tunnel: Identity | None
    identity: Identity
    decision: Decision


class AuthRouter:
    """Asks the methods in their order; the first that recognises a value judges it, and no other does.

    `on_failure(method, reason)` is told of every refusal, both from closed sets; the method is `none` where no method
    recognised what was presented. With `require_factor` nobody is let in by a lasting secret alone. Threads (`flights`)
    and the count of wrong values (`throttle`) may be those of the router in whose place this one comes.
    """

    def __init__(
        self,
        methods: Sequence[Authenticator],
        *,
        enabled: bool,
        clock: Clock,
        workers: int = WORKERS,
        queue_limit: int = QUEUE_LIMIT,
        flights: Flights | None = None,
        throttle: Throttle | None = None,
        on_failure: OnFailure | None = None,
        factors: SecondFactors | None = None,
        require_factor: bool = False,
    ) -> None:
        self._factors = factors
        self._owing = LASTING if require_factor else frozenset[str]()
        self._throttle = throttle or Throttle(clock)
        self._enabled = enabled
        self._clock = clock
        self._failures = Failures(on_failure)
        self._flights = flights or Flights(workers, queue_limit)
        self._judges = Judges(methods, self._flights)

    def start(self) -> None:
        """Let every method load what it needs; a StateError of theirs means that the server must not start."""
        if self._enabled:
            for method in self._judges:
                method.start()

    def stop(self) -> None:
        """End the threads and the methods; what waits for a thread is cancelled."""
        self._flights.close()
        if self._enabled:
            for method in self._judges:
                method.stop()

    def usable(self) -> bool:
        """Whether callers can be judged now."""
        return not self._enabled or all(method.usable() for method in self._judges)

    def shows(self, request: Request) -> bool:
        """Whether a head holds anything that will be judged, right or wrong. BadRequest for two values in one slot."""
        return not self._enabled or any(map(self._judges.recognises, self._judges.present(request)))

    def judged(self, request: Request) -> frozenset[str]:
        """The slots of a head that hold something that is judged; what stands in others is a placeholder."""
        try:
            return frozenset(each.slot for each in self._judges.present(request) if self._judges.recognises(each))
        except BadRequest:
            return frozenset()

    def recall(
        self,
        request: Request,
        *,
        tunnel: Identity | None = None,
        intercepted: bool = False,
        gateway: bool = False,
        form: tuple[Presented, ...] = (),
        code: str | None = None,
        body: bytes | None = b"",
    ) -> Answer | Pending:
        """Who sent this, from memory, or Pending when somebody must compute.

        `tunnel` is the identity that the CONNECT proved; `intercepted` says that a CONNECT may come without
        credentials, `gateway` that an absolute-form request may use any slot; `form` is what stands in the body's
        slots, where it has any, and `code` a second factor that stands there. A signature is held against `body`; with
        `None` it is believed, and the caller holds it against the body itself, by `promise`, before anything is done.
        Raises GatewayError: 400 for two values in one slot, 401 (407 at CONNECT and on absolute form), 403, 429 for too
        many wrong values, 503.
        """
        started = self._clock.monotonic()
        if not self._enabled:
            return ANONYMOUS, Decision(router="auth", input="none", outcome="anonymous", reason="auth is switched off")
        pending = None
        try:
            pending = Pending(
                request=request,
                tunnel=None if tunnel is None else self._now(tunnel),
                intercepted=intercepted,
                gateway=gateway,
                presented=(*self._judges.present(request), *form),
                body=body,
                code=_code(request) if code is None else code,
                started=started,
            )
            identity = self._remembered(pending)
        except GatewayError as error:
            self._report(error, request, () if pending is None else pending.presented, tunnel, started)
            raise
        if isinstance(identity, Pending):
            return identity
        return identity, self._granted(identity, pending.presented, pending.tunnel, started)

    def _remembered(self, pending: Pending) -> Identity | Pending | None:
        """Who it is as far as memory knows; the question itself where somebody must compute."""
        request, claims = pending.request, []
        alone = _is_alone(pending.presented, pending.tunnel)
        for each in pending.presented:
            claim = self._judges.judge(each, request, pending.body, alone=alone)
            if claim is None:
                self._throttle.require(request.source)
                return pending
            claims.append(claim)
        identity = self._decided(claims, pending)
        if identity is not None and identity.factor_due is not None:
            require_code(identity, pending.code)
            self._throttle.require(request.source)
            return pending
        return identity

    def proof(self, request: Request, tunnel: Identity | None, answer: Answer) -> Proof | None:
        """What to keep of an answer for the next request of the same connection; `None` where nothing may be kept."""
        identity, decision = answer
        if identity is None or request.door not in (Door.GATEWAY, Door.TUNNEL):
            return None
        if identity.method == SIGNED or FACTOR in request.headers:  # proved for this one request
            return None
        presented = raw_slots(request)
        return None if presented is None else Proof(presented, tunnel, identity, decision)

    def again(self, proof: Proof, request: Request, tunnel: Identity | None) -> Answer | None:
        """The answer for a request that presents what its connection presented before, as the identity stands now.

        `None` when it presents something else, or when the identity has ended: `recall` then says why.
        """
        return self.stands(proof, tunnel) if raw_slots(request) == proof.presented else None

    def stands(self, proof: Proof, tunnel: Identity | None) -> Answer | None:
        """The answer for a request that is known to present the same, as the identity stands now.

        `None` when the tunnel is another, or when the identity has ended.
        """
        if proof.tunnel is not tunnel:
            return None
        try:
            if tunnel is not None and not _stand_together(tunnel, proof.identity):
                self._now(tunnel)
            return self._now(proof.identity), proof.decision
        except GatewayError:
            return None

    def holds(self, identity: Identity) -> bool:
        """Whether an identity that was proved before still stands: neither revoked nor expired, and to be judged."""
        try:
            self._now(identity)
        except GatewayError:
            return False
        return True

    async def authenticate(self, pending: Pending) -> Answer:
        """Who sent this, computed where memory does not know it. Raises as `recall` does; 503 when too many wait."""
        request, presented, tunnel = pending.request, pending.presented, pending.tunnel
        try:
            claims, alone = [], _is_alone(presented, tunnel)
            for each in presented:
                claim = self._judges.judge(each, request, pending.body, alone=alone) or await self._judges.prove(each)
                claims.append(claim)
                if claim.wrong is not None:  # one that is wrong decides; the others are not worth the work
                    break
            if tunnel is not None:  # it may have ended while this was waiting
                tunnel = self._now(tunnel)
            identity = self._decided(claims, replace(pending, tunnel=tunnel))
            if identity is not None and identity.factor_due is not None:
                identity = await self._with_factor(identity, pending)
        except GatewayError as error:
            if isinstance(error, Unauthenticated) and error.reason in _GUESSES:
                self._throttle.failed(request.source)
            self._report(error, request, presented, tunnel, pending.started)
            raise
        return identity, self._granted(identity, presented, tunnel, pending.started)

    def _decided(self, claims: Sequence[Claim], pending: Pending) -> Identity | None:
        tunnel = pending.tunnel
        identity = decide(
            claims,
            door=pending.request.door,
            tunnel=tunnel,
            intercepted=pending.intercepted,
            gateway=pending.gateway,
        )
        if identity is None:
            return None
        if tunnel is not None and tunnel.key_id == identity.key_id:
            # The factor that was shown for this key when the tunnel was opened is shown inside it as well.
            identity = as_of_now(tunnel, identity)
        if _proved_by(identity) in self._owing and not identity.second_factor and identity.factor_due is None:
            return replace(identity, factor_due="enrolment")
        return identity

    async def run[T](self, compute: Callable[[], T]) -> T:
        """What a blocking function gives, computed by the router's threads; Unavailable when too many wait."""
        return await self._flights.run(compute)

    async def _with_factor(self, identity: Identity, pending: Pending) -> Identity:
        code = require_code(identity, pending.code)
        if self._factors is None:
            raise Unavailable("Second factors cannot be checked here.", detail="no store of second factors")
        return await self._flights.run(partial(self._factors.prove, identity, code))

    def current(self, identity: Identity) -> Identity:
        """An identity that was proved earlier, as it stands now, from memory.

        Raises Unauthenticated when it has ended, Unavailable when nothing can be judged now.
        """
        return self._now(identity)

    def require_kept(self, promise: Promise, broken: Unauthenticated | None) -> None:
        """Refuse a request whose signature turned out to be for another body, as every wrong credential is refused."""
        if broken is None:
            return
        error, request = invalid(broken), promise.request
        self._throttle.failed(request.source)
        self._report(error, request, self._judges.present(request), None, self._clock.monotonic())
        raise error

    def promise(self, request: Request) -> Promise | None:
        """The signature of a request that was let in for it, to be held against its body; `None` without one."""
        return self._judges.promise(request)

    def _now(self, identity: Identity) -> Identity:
        if identity is ANONYMOUS and not self._enabled:
            return identity
        now = self._judges.current(identity)
        if self._owing and not now.second_factor and _proved_by(now) in self._owing:
            # Proved before a second factor was asked of everybody.
            require_code(replace(now, factor_due="enrolment"), None)
        return now

    def _granted(
        self, identity: Identity | None, presented: tuple[Presented, ...], tunnel: Identity | None, started: float
    ) -> Decision:
        return Decision(
            router="auth",
            input=_slots(presented, tunnel),
            outcome="none" if identity is None else identity.user,
            reason=_INSIDE if identity is None else f"{identity.method} {identity.key_name or ''}".rstrip(),
            took=self._clock.monotonic() - started,
        )

    def _report(
        self,
        error: GatewayError,
        request: Request,
        presented: tuple[Presented, ...],
        tunnel: Identity | None,
        started: float,
    ) -> None:
        """Tell the error itself, the log and the metrics why nobody was let in."""
        slots = _slots(presented, tunnel)
        vars(error)["decision"] = Decision(
            router="auth",
            input=slots,
            outcome=reason_of(error),
            reason=error.message,
            took=self._clock.monotonic() - started,
        )
        judges = map(self._judges.method_of, presented)
        method = next((judge.name for judge in judges if judge is not None), tunnel.method if tunnel else "none")
        self._failures.tell(error, method=method, slots=slots, source=request.source, presented=presented)


# What a guess ends as. An expired or revoked key was right once, and its owner is told so as often as it asks.
_GUESSES = frozenset({"unknown_key", "bad_key", "factor_wrong", "factor_locked"})
_INSIDE = "a CONNECT to an intercepted host; each request inside proves its own"


def _proved_by(identity: Identity) -> str:
    """The method that somebody was proved by, in the end."""
    return identity.origin.method if isinstance(identity, ByPlaceholder) else identity.method


def decision_of(error: GatewayError) -> Decision | None:
    """The auth router's record of a refusal of its own, `None` for an error of somebody else."""
    decision = vars(error).get("decision")
    return decision if isinstance(decision, Decision) else None


def _stand_together(one: Identity, other: Identity) -> bool:
    """Whether both end with one and the same key, so that to ask for one of them is enough."""
    return one.key_id is not None and (one.method, one.key_id) == (other.method, other.key_id) and not one.session_id


def _code(request: Request) -> str | None:
    codes = request.headers.all(FACTOR)
    if len(codes) > 1:
        raise BadRequest(f"The request carries more than one value of '{FACTOR}'.", hint="Send one code.")
    return codes[0] if codes else None


def _is_alone(presented: tuple[Presented, ...], tunnel: Identity | None) -> bool:
    return len(presented) == 1 and tunnel is None


def _slots(presented: tuple[Presented, ...], tunnel: Identity | None) -> str:
    if not presented:
        return "tunnel" if tunnel is not None else "none"
    slots = presented[0].slot.value if len(presented) == 1 else "+".join(each.slot for each in presented)
    return slots if tunnel is None else f"tunnel+{slots}"
