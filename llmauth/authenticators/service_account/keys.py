"""The offline way: a token is judged by the keys that the cluster publishes, and by its own claims."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from llmauth.authenticators.base import wrong
from llmauth.authenticators.oidc.claims import check_header, check_times
from llmauth.authenticators.oidc.jwks import JwksLease
from llmauth.authenticators.oidc.keyset import read_key_set
from llmauth.authenticators.oidc.provider import Published
from llmauth.authenticators.reach import NotReached
from llmauth.authenticators.service_account.accounts import account_of
from llmauth.authenticators.service_account.claims import Claimed
from llmauth.authenticators.service_account.cluster import Cluster
from llmauth.clock import Clock
from llmauth.sources import SourceFailed

PATH: Final = "/openid/v1/jwks"
# Of the keys that Kubernetes signs with: RSA, ECDSA, and what an external signer may have.
ALGORITHMS: Final = ("RS256", "ES256", "ES384")
LIFE = 300.0


class PublishedKeys:
    """The keys of one cluster. The signature alone is no proof: issuer, audience and times are judged here as well."""

    def __init__(self, cluster: Cluster, *, audience: str, issuer: Callable[[], str | None], clock: Clock) -> None:
        self._cluster = cluster
        self._audience = audience
        self._issuer = issuer
        self._clock = clock
        self.lease = JwksLease(self._fetch, clock, issuer=cluster.server)

    def account(self, text: str, claimed: Claimed) -> str:
        """`NAMESPACE/NAME`; Unauthenticated, or Unavailable while there are no keys."""
        token = claimed.token
        algorithm, kid = check_header(token.header, ALGORITHMS)
        if kid is None:
            raise wrong("malformed", "a service account's token that names no key")
        key = self.lease.held().choose(kid, algorithm) or self.lease.sought().choose(kid, algorithm)
        if key is None:
            raise wrong("unknown_key", "a service account's token, by no key of the cluster")
        if not key.verifies(algorithm, token.signed, token.signature):
            raise wrong("bad_key", "the signature of a service account's token")
        check_times(token.payload, self._clock.wall())
        if not claimed.issuer or claimed.issuer != self._issuer() or self._audience not in claimed.audiences:
            raise wrong("not_allowed", "a service account's token of another issuer, or for another audience")
        account = account_of(claimed.subject)
        if account is None or account != _named(claimed):
            raise wrong("malformed", "a service account's token whose claims name two accounts")
        return account

    def _fetch(self) -> Published:
        try:
            answer = self._cluster.ask("GET", PATH)
        except NotReached as failure:
            raise SourceFailed(failure.reason) from None
        if answer.status == 403:
            raise SourceFailed(
                f"{self._cluster.server}{PATH} may not be read (403 Forbidden): bind the ClusterRole "
                "system:service-account-issuer-discovery to the service account of this server"
            )
        if answer.status != 200:
            raise SourceFailed(f"{self._cluster.server}{PATH} answered {answer.status}")
        return Published(keys=read_key_set(answer.body), life=LIFE)


def _named(claimed: Claimed) -> str | None:
    about = claimed.token.payload.get("kubernetes.io")
    account = about.get("serviceaccount") if isinstance(about, dict) else None
    if not isinstance(about, dict) or not isinstance(account, dict):
        return None
    return f"{about.get('namespace')}/{account.get('name')}"
