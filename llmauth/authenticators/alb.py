"""The method `alb`: whom an Application Load Balancer of AWS has logged in, by the signed field that it adds."""

from __future__ import annotations

import ipaddress
import math
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, cast

from cryptography.hazmat.primitives.serialization import load_pem_public_key
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from llmauth.authenticators.base import AuthSurroundings, Presented, Reason, Slot, wrong
from llmauth.authenticators.compact import Compact, read
from llmauth.authenticators.oidc.claims import groups_of, moment, user_of
from llmauth.authenticators.oidc.keyset import VerifyingKey, key_of
from llmauth.authenticators.oidc.options import Claims, as_list, checked_url
from llmauth.authenticators.oidc.provider import way_to
from llmauth.authenticators.proofs import Proofs
from llmauth.clock import Clock
from llmauth.context import Identity
from llmauth.errors import Unauthenticated, Unavailable
from llmauth.outbound import Outbound
from llmauth.sources import SourceFailed

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

ALGORITHM = "ES256"
KEY_URL = "https://public-keys.auth.elb.{region}.amazonaws.com"

_REGION = re.compile(r"[a-z]{2}(?:-[a-z]{2,10}){1,2}-\d{1,2}")
_SIGNER = re.compile(
    r"arn:aws[a-z-]{0,12}:elasticloadbalancing:[a-z0-9-]{5,25}:\d{12}:loadbalancer/app/[A-Za-z0-9-]{1,32}/[0-9a-f]{16}"
)
# It becomes a part of a URL.
_KID = re.compile(r"[0-9a-f-]{36}")

_FRESH_SECONDS = 3_600.0
_STALE_SECONDS = 86_400.0
_MOST_KEYS = 64
# Who can reach the load balancer may make up as many ids of keys as they like.
_FETCHES = 10
_FETCH_WINDOW = 30.0
_UNKNOWN_SECONDS = 30.0
_BACK_OFF = 5.0
_MOST_BYTES = 8 * 1024
_NO_SUCH_KEY = (403, 404)  # S3, which holds them, tells strangers 403 of what is not there


def _network(value: object) -> Network:
    if not isinstance(value, str):
        raise ValueError("wanted is a network like 10.0.0.0/16")
    try:
        network = ipaddress.ip_network(value)
    except ValueError:
        raise ValueError("not a network like 10.0.0.0/16, or an address") from None
    if network.prefixlen == 0:
        raise ValueError("trusts every peer; name the subnets of the load balancer")
    return network


def _matching(pattern: re.Pattern[str], wanted: str) -> AfterValidator:
    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise ValueError(f"not {wanted}")
        return value

    return AfterValidator(check)


Arn = Annotated[str, _matching(_SIGNER, "the ARN of an Application Load Balancer (…:loadbalancer/app/NAME/ID)")]


class AlbOptions(BaseModel):
    """`{type: alb, region: us-east-1, signer: arn:aws:elasticloadbalancing:…, trusted_peers: [10.0.0.0/16]}`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=True)

    type: Literal["alb"]
    region: Annotated[str, _matching(_REGION, "the name of a region like us-east-1")]
    signer: Annotated[tuple[Arn, ...], BeforeValidator(as_list), Field(min_length=1)]
    trusted_peers: Annotated[tuple[Annotated[Network, BeforeValidator(_network)], ...], Field(min_length=1)]
    key_url: Annotated[str, AfterValidator(checked_url)] | None = None
    claims: Claims = Claims()


class LoadBalancer:
    """Believes the field of one load balancer, when it comes from where that one stands."""

    name: Final = "alb"
    slots: Final = frozenset({Slot.OIDC_DATA})

    def __init__(self, options: AlbOptions, surroundings: AuthSurroundings) -> None:
        self._options = options
        self._clock = surroundings.clock
        self._proofs = Proofs(surroundings.clock)
        base = options.key_url or KEY_URL.format(region=options.region)
        outbound = surroundings.outbound if options.key_url is None else way_to(options.key_url, surroundings.outbound)
        self._keys = PublicKeys(base, outbound, surroundings.clock)
        self._trusts = lru_cache(maxsize=4096)(self._is_trusted)

    def start(self) -> None:
        """A key is fetched when the first token names it."""

    def stop(self) -> None:
        """Nothing runs."""

    def usable(self) -> bool:
        return True

    def recognises(self, presented: Presented) -> bool:
        """By whom it comes from: anybody can send the field, and from anybody else it is none of ours."""
        return presented.slot is Slot.OIDC_DATA and self._trusts(presented.source)

    def recall(self, presented: Presented) -> Identity | None:
        """Microseconds; see Authenticator."""
        digest = self._proofs.digest(presented.value)
        proof = self._proofs.proved(digest)
        if proof is not None:
            if self._proofs.ended(proof):
                raise wrong("expired", "the field of the load balancer")
            return proof.identity
        refused = self._proofs.refused(digest)
        if refused is not None:
            raise wrong(refused)
        return None

    def authenticate(self, presented: Presented) -> Identity:
        """A fraction of a millisecond, and a fetch for a key unheard of; see Authenticator."""
        digest = self._proofs.digest(presented.value)
        try:
            identity, kid = self._judged(presented.value)
        except Unauthenticated as error:
            self._proofs.refuse(digest, cast(Reason, error.reason))
            raise
        self._proofs.keep(digest, identity, kid)
        return identity

    def current(self, identity: Identity) -> Identity:
        """Ends with the field that proved it."""
        if identity.expires_at is None or identity.expires_at <= self._clock.wall():
            raise wrong("expired", "the field of the load balancer")
        return identity

    def _judged(self, value: str) -> tuple[Identity, str]:
        token = _read(value)
        kid, ends = self._header(token.header)
        if not self._keys.key(kid).verifies(ALGORITHM, token.signed, token.signature):
            raise wrong("bad_key", f"the signature of the load balancer, key {kid}")
        claims = self._options.claims
        user, groups = user_of(token.payload, claims), groups_of(token.payload, claims)
        if moment(token.payload, "exp") not in (None, ends):
            raise wrong("malformed", "two ends")
        return Identity(user=user, method=self.name, groups=groups, expires_at=ends), kid

    def _header(self, header: Mapping[str, Any]) -> tuple[str, float]:
        """The key and the end, which stand in the header; what it says of where its key might be is not looked at."""
        if header.get("alg") != ALGORITHM or "crit" in header or "b64" in header or "cty" in header:
            raise wrong("malformed", "not the header of a load balancer")
        # AWS: "validate that the signer field in the JWT header contains the expected Application Load Balancer ARN".
        if header.get("signer") not in self._options.signer:
            raise wrong("not_allowed", "the field of another load balancer")
        kid, ends = header.get("kid"), moment(header, "exp")
        if not isinstance(kid, str) or not _KID.fullmatch(kid):
            raise wrong("malformed", "the id of the key is none of a load balancer")
        if ends is None:
            raise wrong("malformed", "a field without an end")
        if ends <= self._clock.wall():
            raise wrong("expired", "the field of the load balancer")
        return kid, ends

    def _is_trusted(self, source: str) -> bool:
        try:
            address = ipaddress.ip_address(source.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None) or address
        return any(mapped in network for network in self._options.trusted_peers)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    key: VerifyingKey | None  # `None`: there is no such key
    at: float


class PublicKeys:
    """The public keys of load balancers in one region, each fetched by its id, and kept."""

    def __init__(self, base: str, outbound: Outbound, clock: Clock) -> None:
        self._base = base.rstrip("/")
        self._outbound = outbound
        self._clock = clock
        self._kept: dict[str, _Kept] = {}
        self._fetched: list[float] = []
        self._not_before = -math.inf
        self._fetching = threading.Lock()

    def key(self, kid: str) -> VerifyingKey:
        """The key of this id, which must be fit for a URL; blocks while it is fetched.

        Unauthenticated where there is none, Unavailable where nobody can tell.
        """
        key = self._known(kid, _FRESH_SECONDS)
        if key is None:
            with self._fetching:
                key = self._known(kid, _FRESH_SECONDS) or self._fetch(kid)
        return key

    def _known(self, kid: str, most: float) -> VerifyingKey | None:
        kept = self._kept.get(kid)
        age = self._clock.monotonic() - kept.at if kept is not None else 0.0
        if kept is None or age >= most:
            return None
        if kept.key is None and age < _UNKNOWN_SECONDS:
            raise wrong("unknown_key", f"key {kid} of a load balancer")
        return kept.key

    def _fetch(self, kid: str) -> VerifyingKey:
        try:
            self._take_turn()
            key = self._asked(kid)
        except SourceFailed as failure:
            held = self._known(kid, _STALE_SECONDS)
            if held is not None:
                return held
            raise _unavailable(str(failure)) from None
        self._kept.pop(kid, None)
        while len(self._kept) >= _MOST_KEYS:
            del self._kept[_least(self._kept)]
        self._kept[kid] = _Kept(key=key, at=self._clock.monotonic())
        if key is None:
            raise wrong("unknown_key", f"key {kid} of a load balancer")
        return key

    def _take_turn(self) -> None:
        now = self._clock.monotonic()
        if now < self._not_before:
            raise SourceFailed("the public keys of load balancers could not be fetched a moment ago")
        self._fetched = [at for at in self._fetched if at > now - _FETCH_WINDOW]
        if len(self._fetched) >= _FETCHES:
            raise SourceFailed("too many unknown keys were asked for")
        self._fetched.append(now)

    def _asked(self, kid: str) -> VerifyingKey | None:
        try:
            answer = self._outbound.ask("GET", f"{self._base}/{kid}", most=_MOST_BYTES)
            if answer.status in _NO_SUCH_KEY:
                return None
            if answer.status != 200:
                raise SourceFailed(f"the public keys of load balancers: status {answer.status}")
            return _public_key(answer.body, kid)
        except SourceFailed:
            # Whoever comes next is told at once: requests must not wait for it one after the other.
            self._not_before = self._clock.monotonic() + _BACK_OFF
            raise


def _public_key(pem: bytes, kid: str) -> VerifyingKey:
    try:
        key = key_of(load_pem_public_key(pem), kid=kid, alg=ALGORITHM)
    except Exception:  # of cryptography: ValueError, and UnsupportedAlgorithm, which is none
        key = None
    if key is None or not key.fits(ALGORITHM):
        raise SourceFailed("the public key of a load balancer is no key of P-256 in PEM")
    return key


def _least(kept: Mapping[str, _Kept]) -> str:
    """The first that is worth least: an id without a key, else the oldest."""
    return next((kid for kid, each in kept.items() if each.key is None), next(iter(kept)))


def _read(text: str) -> Compact:
    try:
        # AWS: its parts "are base64 URL encoded, and include padding characters at the end".
        return read(text, padded=True)
    except ValueError as error:
        raise wrong("malformed", f"the field of the load balancer: {error}") from None


def _unavailable(reason: str) -> Unavailable:
    return Unavailable(
        "The load balancer's word cannot be checked at the moment.",
        hint="Try again in some seconds.",
        detail=reason,
        retry_after=5,
    )
