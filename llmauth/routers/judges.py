"""The methods of authentication in their order: which of them a value belongs to, and what that one says of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from llmauth.authenticators.base import Authenticator, Presented, Slot, as_of_now, wrong
from llmauth.authenticators.basic import Basic
from llmauth.authenticators.factors import require_code
from llmauth.authenticators.flights import Flights
from llmauth.authenticators.presented import Claim, invalid, present
from llmauth.authenticators.sigv4 import Promise, Signatures
from llmauth.context import Identity
from llmauth.errors import Unauthenticated
from llmauth.http import Request


class Judges:
    """The first method that recognises a value judges it, and no other does."""

    def __init__(self, methods: Sequence[Authenticator], flights: Flights) -> None:
        self._methods = tuple(methods)
        self._by_name = {method.name: method for method in methods}
        self._slots: frozenset[Slot] = frozenset().union(*(method.slots for method in methods))
        self._signatures = next((method for method in methods if isinstance(method, Signatures)), None)
        self._passwords = next((method for method in methods if isinstance(method, Basic)), None)
        self._flights = flights

    def __iter__(self) -> Iterator[Authenticator]:
        return iter(self._methods)

    def present(self, request: Request) -> tuple[Presented, ...]:
        """What a request presents in the slots that these methods know."""
        return present(request, self.recognises, self._slots)

    def recognises(self, presented: Presented) -> bool:
        """Whether the value is one that is judged, right or wrong."""
        return self.method_of(presented) is not None

    def method_of(self, presented: Presented) -> Authenticator | None:
        """The method that judges a value."""
        for method in self._methods:
            if method.recognises(presented):
                return method
        return None

    def judge(self, presented: Presented, request: Request, body: bytes | None, *, alone: bool = False) -> Claim | None:
        """A slot judged from memory, `None` when memory does not know the value.

        `body` is that of the request, `None` where a signature is taken as a promise until the body is in; `alone` says
        that nothing else could prove who calls.
        """
        method = self.method_of(presented)
        if method is None and alone and self._passwords is not None and self._passwords.may_name_a_stranger(presented):
            method = self._passwords
        if method is None:
            return Claim(presented=presented)
        try:
            if method is self._signatures:
                return Claim(presented=presented, identity=self._signed(request, body))
            identity = method.recall(presented)
        except Unauthenticated as error:
            return Claim(presented=presented, wrong=error)
        return None if identity is None else Claim(presented=presented, identity=identity)

    async def prove(self, presented: Presented) -> Claim:
        """A slot judged by computing, where memory did not know the value."""
        method = self.method_of(presented) or self._passwords
        assert method is not None
        try:
            identity = await self._flights.identity(method, presented)
        except Unauthenticated as error:
            return Claim(presented=presented, wrong=error)
        return Claim(presented=presented, identity=identity)

    def promise(self, request: Request) -> Promise | None:
        """The signature of a request, to be held against its body."""
        return self._signatures.promise(request) if self._signatures is not None else None

    def current(self, identity: Identity) -> Identity:
        """An identity that was proved earlier, as it stands now.

        Raises Unauthenticated when it has ended or owes a second factor by now, Unavailable when nobody can tell.
        """
        method = self._by_name.get(identity.method)
        if method is None:
            raise invalid(wrong("revoked", f"method {identity.method} is off"))
        try:
            now = as_of_now(identity, method.current(identity))
        except Unauthenticated as error:
            raise invalid(error) from None
        if now.factor_due is not None:
            require_code(now, None)
        return now

    def _signed(self, request: Request, body: bytes | None) -> Identity:
        promise = self.promise(request)
        if promise is None:
            raise wrong("malformed", "a signature with an access key id of ours that cannot be read")
        return promise.identity if body is None else promise.keep(body)
