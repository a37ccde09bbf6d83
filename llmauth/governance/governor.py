"""One place to ask: what a caller may do, whether there is room for a request, and what became of it."""

from __future__ import annotations

from decimal import Decimal

from llmauth.chat.messages import Usage
from llmauth.clock import Clock, SystemClock
from llmauth.context import Identity
from llmauth.governance.demands import Demand, Permit
from llmauth.governance.estimates import Guess, of_cut, of_untold
from llmauth.governance.limits import Limiter
from llmauth.governance.policy import Allowance, Policies, judge, judge_model
from llmauth.governance.prices import Prices
from llmauth.governance.standing import Field, rate_limit_fields, standing

_UNKNOWN = Guess(0, 0)


class Admission:
    """A request that was let in. It ends once: by `settle`, or by `release`; whatever comes later does nothing."""

    __slots__ = ("_governor", "_guess", "_models", "permit")

    def __init__(self, governor: Governor, permit: Permit, guess: Guess, models: tuple[str | None, ...]) -> None:
        self._governor = governor
        self._guess = guess
        self._models = models
        self.permit = permit

    @property
    def open(self) -> bool:
        """Whether it still counts as running."""
        return self.permit.open

    @property
    def reserves(self) -> bool:
        """Whether tokens were reserved; where none were, they count for nobody or no model works."""
        return self._guess != _UNKNOWN

    def settle(
        self, usage: Usage | None, *, cut_after: int | None = None, untold_after: int | None = None
    ) -> Decimal | None:
        """It has ended and used this much; None, where nobody knows, leaves what was reserved. The cost, where known.

        `cut_after` are the bytes of an answer that ended before its end, `untold_after` those of one that did not tell
        its use, or not all of it; each may have used more than it told. Never waits, never raises.
        """
        governor = self._governor
        if cut_after is not None:
            usage = of_cut(usage, self._guess, cut_after)
        elif untold_after is not None:
            usage = of_untold(usage, self._guess, untold_after)
        cost = None if usage is None else governor.prices.cost(usage, *self._models)
        if cost is not None and untold_after is not None:
            cost = max(cost, governor.prices.most(*self._guess, *self._models))
        governor.limiter.settle(self.permit, None if usage is None else usage.total, cost)
        return cost

    def release(self) -> None:
        """It came to nothing: no model worked. Reserves are given back; it counts as a request. Never waits."""
        self._governor.limiter.release(self.permit)

    def fields(self, shape: str) -> tuple[Field, ...]:
        """The header fields that tell how the limits stand, as SDKs of this shape (`openai`, `anthropic`) read them."""
        return rate_limit_fields(shape, standing(self.permit), self._governor.clock.wall())


class Governor:
    """Policies, prices and limits. `shares` is the sentence that says with whom the limits are shared.

    All methods are called on the event loop.
    """

    def __init__(
        self,
        policies: Policies,
        prices: Prices,
        limiter: Limiter,
        *,
        shares: str = "",
        clock: Clock | None = None,
    ) -> None:
        self.policies = policies
        self.prices = prices
        self.limiter = limiter
        self.shares = shares
        self.clock = clock or SystemClock()

    def under(self, policies: Policies, prices: Prices) -> Governor:
        """The same limits with what was taken of them, by other rules and other prices."""
        return Governor(policies, prices, self.limiter, shares=self.shares, clock=self.clock)

    async def start(self) -> None:
        """Reach whoever counts; where that fails it is told in the log, and tried again."""
        await self.limiter.start()

    async def stop(self) -> None:
        """Send what was not sent yet, for a second at most, and free what this process holds."""
        await self.limiter.stop()

    def describe(self) -> str:
        """The sentence for the log at the start: who shares the limits."""
        return self.shares

    def allowance(self, identity: Identity) -> Allowance:
        """What this caller may do; from memory, in a microsecond."""
        return self.policies.allowance(identity)

    def judge(
        self,
        identity: Identity,
        allowance: Allowance,
        *,
        instance: str | None = None,
        protocol: str | None = None,
        host: str | None = None,
    ) -> None:
        """Forbidden for what is not allowed, as far as that can be told before the body is read."""
        judge(identity, allowance, instance=instance, protocol=protocol, host=host, now=self.clock.wall())

    def judge_model(self, identity: Identity, allowance: Allowance, *names: str | None, lists: bool = False) -> None:
        """ModelNotAllowed for a model that is not allowed by any of its names, and for none where one is needed."""
        judge_model(identity, allowance, *names, lists=lists)

    def admit_now(self, allowance: Allowance, guess: Guess = _UNKNOWN, *models: str | None) -> Admission | None:
        """The same as `admit` without waiting, None where others have to be asked."""
        permit = self.limiter.admit_now(self._demand(allowance, guess, models))
        return None if permit is None else Admission(self, permit, guess, models)

    async def admit(self, allowance: Allowance, guess: Guess = _UNKNOWN, *models: str | None) -> Admission:
        """Let a request in, and reserve what it may use; whoever is cancelled meanwhile has taken nothing.

        RateLimited or InsufficientQuota (429) with `retry_after`, `limit` and `standing`, which took nothing; and
        Unavailable (503) when nobody has counted for too long.
        """
        permit = await self.limiter.admit(self._demand(allowance, guess, models))
        return Admission(self, permit, guess, models)

    def refused_fields(self, shape: str, of: object) -> tuple[Field, ...]:
        """The same fields as of an admission, for the `standing` of a RateLimited."""
        return rate_limit_fields(shape, of, self.clock.wall())

    def _demand(self, allowance: Allowance, guess: Guess, models: tuple[str | None, ...]) -> Demand:
        if not allowance.scopes:
            return _NOTHING
        cost = self.prices.most(*guess, *models) if allowance.counts_money else Decimal(0)
        return Demand(scopes=allowance.scopes, tokens=guess.prompt + guess.output, cost=cost)


_NOTHING = Demand(scopes=())
