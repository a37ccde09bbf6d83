"""Who is calling? Answered from memory where that suffices, else by a few threads of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from llmauth.authenticators.base import Authenticator, Presented, Slot, as_of_now, wrong
from llmauth.authenticators.failures import Failures, OnFailure, reason_of
from llmauth.authenticators.flights import QUEUE_LIMIT, WORKERS, Flights
from llmauth.authenticators.presented import Claim, decide, invalid, present, raw_slots
from llmauth.clock import Clock
from llmauth.context import Decision, Identity
from llmauth.errors import GatewayError, Unauthenticated
from llmauth.http import Door, Request

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
    recognised what was presented.
    """

    def __init__(
        self,
        methods: Sequence[Authenticator],
        *,
        enabled: bool,
        clock: Clock,
        workers: int = WORKERS,
        queue_limit: int = QUEUE_LIMIT,
        on_failure: OnFailure | None = None,
    ) -> None:
        self._methods = tuple(methods)
        self._by_name = {method.name: method for method in methods}
        self._slots: frozenset[Slot] = frozenset().union(*(method.slots for method in methods))
        self._enabled = enabled
        self._clock = clock
        self._failures = Failures(on_failure)
        self._flights = Flights(workers, queue_limit)

    def start(self) -> None:
        """Let every method load what it needs; a StateError of theirs means that the server must not start."""
        if self._enabled:
            for method in self._methods:
                method.start()

    def stop(self) -> None:
        """End the threads and the methods; what waits for a thread is cancelled."""
        self._flights.close()
        if self._enabled:
            for method in self._methods:
                method.stop()

    def usable(self) -> bool:
        """Whether callers can be judged now."""
        return not self._enabled or all(method.usable() for method in self._methods)

    def shows(self, request: Request) -> bool:
        """Whether a head holds anything that will be judged, right or wrong. BadRequest for two values in one slot."""
        return not self._enabled or any(self._recognised(each) for each in self._present(request))

    def recall(
        self,
        request: Request,
        *,
        tunnel: Identity | None = None,
        intercepted: bool = False,
        gateway: bool = False,
        form: tuple[Presented, ...] = (),
    ) -> Answer | Pending:
        """Who sent this, from memory, or Pending when somebody must compute.

        `tunnel` is the identity that the CONNECT proved; `intercepted` says that a CONNECT may come without
        credentials, `gateway` that an absolute-form request may use any slot; `form` is what stands in the body's
        slots, where it has any. Raises GatewayError: 400 for two values in one slot, 401 (407 at CONNECT and on
        absolute form), 403, 503.
        """
        started = self._clock.monotonic()
        if not self._enabled:
            return ANONYMOUS, Decision(router="auth", input="none", outcome="anonymous", reason="auth is switched off")
        presented: tuple[Presented, ...] = ()
        try:
            presented = (*self._present(request), *form)
            if tunnel is not None:
                tunnel = self._current(tunnel)
            claims = []
            for each in presented:
                claim = self._judge(each)
                if claim is None:
                    return Pending(
                        request=request,
                        tunnel=tunnel,
                        intercepted=intercepted,
                        gateway=gateway,
                        presented=presented,
                        started=started,
                    )
                claims.append(claim)
            identity = decide(claims, door=request.door, tunnel=tunnel, intercepted=intercepted, gateway=gateway)
        except GatewayError as error:
            self._report(error, request, presented, tunnel, started)
            raise
        return identity, self._granted(identity, presented, tunnel, started)

    def proof(self, request: Request, tunnel: Identity | None, answer: Answer) -> Proof | None:
        """What to keep of an answer for the next request of the same connection; `None` where nothing may be kept."""
        identity, decision = answer
        if identity is None or request.door not in (Door.GATEWAY, Door.TUNNEL):
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
            if tunnel is not None and (tunnel.key_id is None or tunnel.key_id != proof.identity.key_id):
                self._current(tunnel)
            return self._current(proof.identity), proof.decision
        except GatewayError:
            return None

    def holds(self, identity: Identity) -> bool:
        """Whether an identity that was proved before still stands: neither revoked nor expired, and to be judged."""
        try:
            self._current(identity)
        except GatewayError:
            return False
        return True

    async def authenticate(self, pending: Pending) -> Answer:
        """Who sent this, computed where memory does not know it. Raises as `recall` does; 503 when too many wait."""
        request, presented, tunnel = pending.request, pending.presented, pending.tunnel
        try:
            claims = []
            for each in presented:
                claims.append(self._judge(each) or await self._prove(each))
                if claims[-1].wrong is not None:  # one that is wrong decides; the others are not worth the work
                    break
            if tunnel is not None:  # it may have ended while this was waiting
                tunnel = self._current(tunnel)
            identity = decide(
                claims, door=request.door, tunnel=tunnel, intercepted=pending.intercepted, gateway=pending.gateway
            )
        except GatewayError as error:
            self._report(error, request, presented, tunnel, pending.started)
            raise
        return identity, self._granted(identity, presented, tunnel, pending.started)

    def current(self, identity: Identity) -> Identity:
        """An identity that was proved earlier, as it stands now, from memory.

        Raises Unauthenticated when it has ended, Unavailable when nothing can be judged now.
        """
        return self._current(identity)

    def _present(self, request: Request) -> tuple[Presented, ...]:
        return present(request, self._recognised, self._slots)

    def _recognised(self, presented: Presented) -> bool:
        return self._method_of(presented) is not None

    def _method_of(self, presented: Presented) -> Authenticator | None:
        for method in self._methods:
            if method.recognises(presented):
                return method
        return None

    def _current(self, tunnel: Identity) -> Identity:
        if tunnel is ANONYMOUS and not self._enabled:
            return tunnel
        method = self._by_name.get(tunnel.method)
        if method is None:
            raise invalid(wrong("revoked", f"method {tunnel.method} is off"))
        try:
            return as_of_now(tunnel, method.current(tunnel))
        except Unauthenticated as error:
            raise invalid(error) from None

    def _judge(self, presented: Presented) -> Claim | None:
        """The slot judged from memory, `None` when memory does not know the value."""
        method = self._method_of(presented)
        if method is None:
            return Claim(presented=presented)
        try:
            identity = method.recall(presented)
        except Unauthenticated as error:
            return Claim(presented=presented, wrong=error)
        return None if identity is None else Claim(presented=presented, identity=identity)

    async def _prove(self, presented: Presented) -> Claim:
        method = self._method_of(presented)
        assert method is not None
        try:
            identity = await self._flights.identity(method, presented)
        except Unauthenticated as error:
            return Claim(presented=presented, wrong=error)
        return Claim(presented=presented, identity=identity)

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
        judges = (self._method_of(each) for each in presented)
        method = next((judge.name for judge in judges if judge is not None), tunnel.method if tunnel else "none")
        self._failures.tell(error, method=method, slots=slots, source=request.source, presented=presented)


_INSIDE = "a CONNECT to an intercepted host; each request inside proves its own"


def decision_of(error: GatewayError) -> Decision | None:
    """The auth router's record of a refusal of its own, `None` for an error of somebody else."""
    decision = vars(error).get("decision")
    return decision if isinstance(decision, Decision) else None


def _slots(presented: tuple[Presented, ...], tunnel: Identity | None) -> str:
    if not presented:
        return "tunnel" if tunnel is not None else "none"
    slots = presented[0].slot.value if len(presented) == 1 else "+".join(each.slot for each in presented)
    return slots if tunnel is None else f"tunnel+{slots}"
