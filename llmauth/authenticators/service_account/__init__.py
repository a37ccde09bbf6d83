"""The method `service_account`: a pod proves as which account it runs, by its projected token or by its mesh."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from llmauth.authenticators.base import AuthSurroundings, Presented, Slot, wrong
from llmauth.authenticators.reach import Reach
from llmauth.authenticators.service_account.accounts import METHOD, Entry, identity_of, is_allowed
from llmauth.authenticators.service_account.claims import Claimed, claimed, end_of
from llmauth.authenticators.service_account.cluster import Cluster, default_server
from llmauth.authenticators.service_account.keys import PublishedKeys
from llmauth.authenticators.service_account.mesh import MeshOptions, account_in, is_trusted, last_uris
from llmauth.authenticators.service_account.reviews import Reviews
from llmauth.authenticators.vouchers import Terms, Told, Vouchers
from llmauth.context import Identity

log = logging.getLogger(__name__)

REVIEWED = Terms(good_for=60.0, renew_after=25.0)
"""A deleted account is found out at the next review; one that cannot be made leaves a minute in all."""
VERIFIED = Terms(good_for=None, renew_after=60.0)
_Judge = Callable[[str, Claimed], str]
_ISSUER_SECONDS = 60.0
_TOLD_LIMIT = 256

_URL = re.compile(r"https://([A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(:[0-9]{1,5})?(/[A-Za-z0-9._/-]*)?")


def _server(url: str) -> str:
    if not _URL.fullmatch(url):
        raise ValueError("wanted https:// and a host, as https://kubernetes.default.svc")
    return url


def _as_list(value: object) -> object:
    return [entry.strip() for entry in value.split(",") if entry.strip()] if isinstance(value, str) else value


class ServiceAccountOptions(BaseModel):
    """`{type: service_account, allowed: [team-a/app, team-b/*]}`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    type: Literal["service_account"]
    audience: Annotated[str, Field(pattern=r"^[!-~]{1,256}$")] = "llmauth"
    allowed: Annotated[tuple[Entry, ...], BeforeValidator(_as_list), Field(min_length=1)]
    verify: Literal["token_review", "jwks"] = "token_review"
    api_server: Annotated[str, AfterValidator(_server)] | None = None
    ca_file: Path | None = None
    token_file: Path | None = None
    issuer: Annotated[str, Field(min_length=1)] | None = None
    mesh: MeshOptions | None = None


class ServiceAccounts:
    """Believes the API server for a minute at most, its keys until a token ends, and a sidecar for one request."""

    name: Final = METHOD

    def __init__(self, options: ServiceAccountOptions, surroundings: AuthSurroundings) -> None:
        self._options = options
        self._clock = surroundings.clock
        self._cluster = Cluster(
            surroundings.outbound,
            server=options.api_server or default_server(surroundings.environ),
            ca_file=options.ca_file,
            token_file=options.token_file,
        )
        self._issuer = options.issuer
        self._issuer_read = 0.0
        self._by_review = options.verify == "token_review"
        self._reviews = Reviews(self._cluster, options.audience)
        self._keys = PublishedKeys(
            self._cluster, audience=options.audience, issuer=lambda: self._issuer, clock=self._clock
        )
        self._reach = Reach(f"the Kubernetes API at {self._cluster.server}", self._clock, self._reviews.probe)
        ask = partial(self._told, self._reviewed if self._by_review else self._keys.account)
        self._vouchers = Vouchers(ask, self._clock, REVIEWED if self._by_review else VERIFIED)
        self._strangers: set[str] = set()

    @property
    def slots(self) -> frozenset[Slot]:
        """The mesh's field, where a mesh is configured."""
        return frozenset() if self._options.mesh is None else frozenset({Slot.FORWARDED_CERTIFICATE})

    def start(self) -> None:
        """Learn who issues tokens here, and begin to renew what was reviewed. A cluster that is down is asked again."""
        self._learn_issuer()
        if self._by_review:
            self._vouchers.start(self._reach.look, self._learn_issuer)
        else:
            self._keys.lease.start()
            self._vouchers.start(self._learn_issuer)

    def stop(self) -> None:
        """End the threads."""
        self._vouchers.stop()
        if not self._by_review:
            self._keys.lease.stop()

    def usable(self) -> bool:
        """Whether tokens can be judged now."""
        return not self._reach.is_down if self._by_review else self._keys.lease.usable()

    def recognises(self, presented: Presented) -> bool:
        """A token of a service account that is for us, or of our cluster; a forwarded identity from a trusted peer.

        A token of our cluster for somebody else is ours to refuse: whoever received it there would be its caller here.
        """
        if presented.slot is Slot.FORWARDED_CERTIFICATE:
            return self._recognises_mesh(presented)
        if presented.slot is Slot.SESSION or not presented.value.startswith("eyJ"):
            return False
        if self._vouchers.knows(presented.value):
            return True
        found = claimed(presented.value)
        return found is not None and self._is_ours(found)

    def recall(self, presented: Presented) -> Identity | None:
        """See Authenticator."""
        if presented.slot is Slot.FORWARDED_CERTIFICATE:
            return self._of_mesh(presented.value)
        identity = self._vouchers.recall(presented.value)
        if identity is not None:
            return identity
        self._require_worth_asking(presented.value)
        if self._by_review:
            self._reach.require()
        return None

    def authenticate(self, presented: Presented) -> Identity:
        """A call of the API server, or a signature; see Authenticator."""
        return self._vouchers.prove(presented.value)

    def current(self, identity: Identity) -> Identity:
        """As the last review said; what a sidecar vouched for is judged by what is configured."""
        if identity.key_id is None:
            if self._options.mesh is None:
                raise wrong("revoked", "the mesh is trusted no longer")
            return identity_of(identity.user, self._options.allowed)
        return self._vouchers.current(identity)

    # ---- tokens ----------------------------------------------------------------------------------------------------

    def _is_ours(self, found: Claimed) -> bool:
        return self._options.audience in found.audiences or (bool(found.issuer) and found.issuer == self._issuer)

    def _require_worth_asking(self, text: str) -> Claimed:
        """What needs no cluster to be refused."""
        found = claimed(text)
        if found is None:
            raise wrong("malformed", "no token of a service account")
        if self._options.audience not in found.audiences:
            raise wrong("not_allowed", "a service account's token for another audience than ours")
        if end_of(found) <= self._clock.wall():
            raise wrong("expired", "a service account's token")
        return found

    def _told(self, account_of: _Judge, text: str) -> Told:
        found = self._require_worth_asking(text)
        account = account_of(text, found)
        ends = end_of(found)
        identity = identity_of(account, self._options.allowed, ends)
        log.debug("a service account was proved", extra={"user": account, "pod": found.pod})
        return Told(identity=identity, ends=ends)

    def _reviewed(self, text: str, found: Claimed) -> str:
        self._reach.require()
        with self._reach.asking():
            return self._reviews.account(text, found)

    def _learn_issuer(self) -> None:
        now = self._clock.monotonic()
        if self._options.issuer is None and (self._issuer is None or now - self._issuer_read >= _ISSUER_SECONDS):
            self._issuer_read = now
            self._issuer = self._cluster.own_issuer() or self._issuer

    # ---- the mesh --------------------------------------------------------------------------------------------------

    def _recognises_mesh(self, presented: Presented) -> bool:
        """What a trusted peer wrote, unless it names somebody of whom we were not told: that one proves itself else."""
        mesh = self._options.mesh
        if mesh is None or not is_trusted(presented.source, mesh.trusted_peers):
            return False
        try:
            accounts = [account_in(uri, mesh.trust_domain) for uri in last_uris(presented.value)]
        except ValueError:
            return True
        if len(accounts) == 1 and accounts[0] is not None and not is_allowed(accounts[0], self._options.allowed):
            self._tell_of_stranger(accounts[0])
            return False
        return any(account is not None for account in accounts)

    def _of_mesh(self, text: str) -> Identity:
        assert self._options.mesh is not None
        try:
            uris = last_uris(text)
        except ValueError:
            raise wrong("malformed", "what a sidecar wrote, or two fields of it") from None
        account = account_in(uris[0], self._options.mesh.trust_domain) if len(uris) == 1 else None
        if account is None:
            # SPIFFE: "An X.509 SVID MUST contain exactly one URI SAN".
            raise wrong("malformed", "what a sidecar wrote names several identities")
        return identity_of(account, self._options.allowed)

    def _tell_of_stranger(self, account: str) -> None:
        if account not in self._strangers and len(self._strangers) < _TOLD_LIMIT:
            self._strangers.add(account)
            log.warning(
                "a service account of the mesh is not among `allowed`, and has to prove itself in another way",
                extra={"account": account},
            )
