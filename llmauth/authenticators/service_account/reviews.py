"""TokenReview: the API server says whose a token is, and whether it was made for us."""

from __future__ import annotations

from typing import Any, Final

from llmauth.authenticators.base import wrong
from llmauth.authenticators.reach import NotReached
from llmauth.authenticators.service_account.accounts import account_of
from llmauth.authenticators.service_account.claims import Claimed
from llmauth.authenticators.service_account.cluster import Cluster
from llmauth.outbound import Answer

PATH: Final = "/apis/authentication.k8s.io/v1/tokenreviews"
_VERSION, _KIND = "authentication.k8s.io/v1", "TokenReview"
_ROLE = (
    "may not create tokenreviews (403 Forbidden): bind the ClusterRole system:auth-delegator to the service account "
    "of this server"
)


class Reviews:
    """Asks for a review of each token, for one audience."""

    def __init__(self, cluster: Cluster, audience: str) -> None:
        self._cluster = cluster
        self._audience = audience

    def account(self, text: str, claimed: Claimed) -> str:
        """`NAMESPACE/NAME`, as the API server says. Unauthenticated for a token that is void or not for us.

        NotReached for whatever is no review: a refusal of our own call, and an answer that makes no sense.
        """
        status = self._status(text)
        # An API server that knows no audiences reviews by its own, and leaves the list out: that proves nothing for us.
        if status.get("authenticated") is not True or status.get("error"):
            raise wrong("bad_key", f"the API server does not take the token of {claimed.subject!a:.120}")
        audiences = status.get("audiences")
        if not isinstance(audiences, list) or self._audience not in audiences:
            raise wrong("not_allowed", "the review does not say that the token is for our audience")
        user = status.get("user")
        name = user.get("username") if isinstance(user, dict) else None
        account = account_of(name) if isinstance(name, str) else None
        if account is None or name != claimed.subject:
            raise wrong("not_allowed", "the review names no service account, or another than the token")
        return account

    def probe(self) -> None:
        """Ask for a review that proves nobody, to see whether we may and are answered."""
        self._status("eyJhbGciOiJub25lIn0.e30.")

    def _status(self, text: str) -> dict[str, Any]:
        told = {"apiVersion": _VERSION, "kind": _KIND, "spec": {"token": text, "audiences": [self._audience]}}
        answer = self._cluster.ask("POST", PATH, told)
        if answer.status == 403:
            raise NotReached(f"{self._cluster.server}: this server {_ROLE}")
        return self._read(answer)

    def _read(self, answer: Answer) -> dict[str, Any]:
        body = answer.object() or {}
        status = body.get("status")
        fits = answer.status in (200, 201) and body.get("kind") == _KIND and body.get("apiVersion") == _VERSION
        if not fits or not isinstance(status, dict):
            raise NotReached(f"{self._cluster.server} answered {answer.status} with no TokenReview")
        return status
