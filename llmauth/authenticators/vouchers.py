"""What a service outside vouched for: kept for its time, and asked anew before that ends while it is in use."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import cast

from llmauth.authenticators.base import Reason, wrong
from llmauth.authenticators.proofs import Proofs
from llmauth.clock import Clock
from llmauth.context import Identity
from llmauth.errors import GatewayError, Unauthenticated, Unavailable
from llmauth.secrets import Secret

log = logging.getLogger(__name__)

LIMIT = 10_000
EACH_USER = 100
"""Of one user, so that nobody pushes the others' out."""
_RENEWERS = 4
_RETRY_SECONDS = 3.0
_TICK = 0.5
# An ended one is known as that for a while, to be told as that.
_KNOWN_AFTER = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Who a value stands for, and when the value ends by itself (Unix time)."""

    identity: Identity
    ends: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How long an answer counts, in seconds; `None` for as long as the value itself.

    After `renew_after` it is asked for anew, in the background, while it was used within `in_use`. An answer that could
    not be renewed counts until it is `good_for` old, and not a second longer.
    """

    good_for: float | None = None
    renew_after: float | None = None
    in_use: float = 4200.0  # an exchange of an hour, and a connection that then waits for ten minutes


@dataclass(slots=True, kw_only=True)
class _Held:
    """`until` is the monotonic moment of the value's own end: a wall clock that is set back makes no life longer."""

    identity: Identity
    ends: float
    until: float
    asked: float
    used: float
    value: Secret | None = field(repr=False)
    tried: float = 0.0


class Vouchers:
    """The values that `ask` was shown, by their keyed digest. `ask` blocks; it raises Unauthenticated or Unavailable.

    `recall` and `current` take no lock and no time: they read dictionaries that are changed by single steps. What is
    found to hold no longer is dropped at once, and with it the identities that it proved, whose `key_id` names it.
    """

    def __init__(
        self,
        ask: Callable[[str], Told],
        clock: Clock,
        terms: Terms,
        *,
        limit: int = LIMIT,
        each_user: int = EACH_USER,
        ended_hint: str = "",
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._terms = terms
        self._limit = limit
        self._each_user = each_user
        self._hint = ended_hint
        self._refusals = Proofs(clock)
        self._held: dict[str, _Held] = {}
        self._lock = threading.Lock()
        self._renewing: set[str] = set()
        self._stopped = threading.Event()
        self._pool: ThreadPoolExecutor | None = None

    def start(self, *also: Callable[[], None]) -> None:
        """Renew in the background, and call `also` twice a second from the same thread."""
        if self._terms.renew_after is not None:
            self._pool = ThreadPoolExecutor(_RENEWERS, thread_name_prefix="renew-vouchers")
        self._stopped.clear()
        threading.Thread(target=self._run, args=(also,), name="vouchers", daemon=True).start()

    def stop(self) -> None:
        """End the threads; nothing is renewed from then on."""
        self._stopped.set()
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def knows(self, value: str) -> bool:
        """Whether a value was proved before."""
        return self._name(value) in self._held

    def recall(self, value: str) -> Identity | None:
        """Who a value stands for by memory, `None` where only `prove` can tell; Unauthenticated for a wrong one."""
        digest = self._refusals.digest(value)
        held = self._held.get(_named(digest))
        if held is not None:
            self._require_alive(held)
            if self._is_good(held):
                held.used = self._clock.monotonic()
                return held.identity
        reason = self._refusals.refused(digest)
        if reason is not None:
            raise wrong(reason, "refused a moment ago")
        return None

    def prove(self, value: str) -> Identity:
        """Ask, and keep what was said. Raises what `ask` raises."""
        begun = self._clock.monotonic()
        try:
            told = self._ask(value)
        except Unauthenticated as error:
            self._refuse(value, error)
            raise
        name = self._name(value)
        held = self._made(name, value, told, begun)
        self._require_alive(held)
        with self._lock:
            self._make_room(held.identity.user)
            self._held[name] = held
        return held.identity

    def current(self, identity: Identity) -> Identity:
        """An identity that was proved earlier, as it stands now, by memory. Raises Unauthenticated or Unavailable."""
        held = self._held.get(identity.key_id or "")
        if held is None or held.identity.user != identity.user:
            raise wrong("revoked", f"what proved {identity.user} holds no longer")
        held.used = self._clock.monotonic()
        self._require_alive(held)
        if not self._is_good(held):
            raise Unavailable(
                "Credentials cannot be checked at the moment.",
                hint="Try again in a second.",
                detail=f"what proved {identity.user} is too old, and could not be asked anew",
                retry_after=1,
            )
        return held.identity

    def renew_due(self) -> None:
        """Ask anew for what is due: in the background where that was started, else at once."""
        for name in list(self._due()):
            self._renewing.add(name)
            if self._pool is None:
                self._renew(name)
            else:
                self._pool.submit(self._renew, name)

    def forget_ended(self) -> None:
        """Let go of what has ended, and of what nobody used: nothing is kept for longer than it is needed."""
        wall, now = self._clock.wall(), self._clock.monotonic()
        with self._lock:
            for name, held in list(self._held.items()):
                ended = max(wall - held.ends, now - held.until)
                if ended >= _KNOWN_AFTER or self._is_idle(held, now):
                    del self._held[name]

    # ---- what is held ----------------------------------------------------------------------------------------------

    def _name(self, value: str) -> str:
        return _named(self._refusals.digest(value))

    def _made(self, name: str, value: str, told: Told, begun: float) -> _Held:
        # Its age counts from before the question: what happened since then may not be in the answer.
        now = self._clock.monotonic()
        return _Held(
            identity=replace(told.identity, key_id=name, expires_at=told.ends),
            ends=told.ends,
            until=now + told.ends - self._clock.wall(),
            asked=begun,
            used=now,
            value=Secret(value) if self._terms.renew_after is not None else None,
        )

    def _require_alive(self, held: _Held) -> None:
        if held.ends <= self._clock.wall() or held.until <= self._clock.monotonic():
            error = wrong("expired", f"what proved {held.identity.user}")
            error.hint = self._hint
            raise error

    def _is_good(self, held: _Held) -> bool:
        good_for = self._terms.good_for
        return good_for is None or self._clock.monotonic() - held.asked < good_for

    def _is_idle(self, held: _Held, now: float) -> bool:
        return self._terms.renew_after is not None and now - held.used > self._terms.in_use

    def _make_room(self, user: str) -> None:
        """Of one user those that were unused for longest go first, then of all."""
        own = [name for name, held in self._held.items() if held.identity.user == user]
        for names, most in ((own, self._each_user), (self._held, self._limit)):
            if len(names) >= most:
                del self._held[min(names, key=lambda name: self._held[name].used)]
                return

    def _refuse(self, value: str, error: Unauthenticated) -> None:
        digest = self._refusals.digest(value)
        with self._lock:
            self._held.pop(_named(digest), None)
        self._refusals.refuse(digest, cast(Reason, error.reason))

    # ---- renewal ---------------------------------------------------------------------------------------------------

    def _run(self, also: tuple[Callable[[], None], ...]) -> None:
        while not self._stopped.wait(_TICK):
            for each in (self.forget_ended, self.renew_due, *also):
                try:
                    each()
                except Exception as error:  # a thread that ended would renew nothing more, and say nothing of it
                    log.error("a look after what proves callers failed", extra={"error": type(error).__name__})

    def _due(self) -> Iterator[str]:
        after, now = self._terms.renew_after, self._clock.monotonic()
        if after is None:
            return
        with self._lock:
            for name, held in self._held.items():
                waits = now - held.asked >= after and now - held.tried >= _RETRY_SECONDS
                if waits and held.until > now and not self._is_idle(held, now) and name not in self._renewing:
                    held.tried = now
                    yield name

    def _renew(self, name: str) -> None:
        try:
            held = self._held.get(name)
            if held is not None and held.value is not None and not self._stopped.is_set():
                self._renewed(name, held, held.value)
        finally:
            self._renewing.discard(name)

    def _renewed(self, name: str, held: _Held, value: Secret) -> None:
        begun, user = self._clock.monotonic(), held.identity.user
        try:
            told = self._ask(value.reveal())
        except Unauthenticated as error:
            self._refuse(value.reveal(), error)
            log.info("what proved a caller holds no longer", extra={"user": user, "reason": error.reason})
        except GatewayError:
            pass  # it counts until it is too old; whoever asked has told the log why
        except Exception as error:
            log.error("what proved a caller could not be asked anew", extra={"error": type(error).__name__})
        else:
            newer = self._made(name, value.reveal(), told, begun)
            with self._lock:
                newer.used = held.used
                if name in self._held:
                    self._held[name] = newer


def _named(digest: bytes) -> str:
    return digest.hex()[:32]
