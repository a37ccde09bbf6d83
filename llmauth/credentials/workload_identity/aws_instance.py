"""AWS keys of an EC2 machine: its instance profile, by the second version of the instance metadata service alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from llmauth.credentials.workload_identity.aws_answers import code_in, keys
from llmauth.outbound import METADATA, Answer, Outbound
from llmauth.secrets import Loaded
from llmauth.sources import SourceFailed, SourceUnavailable

ENDPOINT = "AWS_EC2_METADATA_SERVICE_ENDPOINT"
ASKED = "the instance metadata service"

# The service answers within milliseconds or is not there; a laptop waits this long, once per attempt.
_TIME_LIMIT = 1.0
_TOKEN_LIFE = "60"
_TOKEN_PATH = "/latest/api/token"
_ROLES = "/latest/meta-data/iam/security-credentials/"
_HOP_LIMIT = "in a container, its hop limit must be 2 (http-put-response-hop-limit)"
_ROLE = re.compile(r"[\w+=,.@-]{1,128}", re.ASCII)
_TOKEN = re.compile(r"[\x21-\x7e]{1,1024}")


def switched_off(environ: Mapping[str, str]) -> str | None:
    """Why it is not to be asked, where the environment says so."""
    disabled = environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true"
    return "AWS_EC2_METADATA_DISABLED is true" if disabled else None


class InstanceMetadata:
    """Asks three times: for a token, for the name of the role, for its keys. `absent` says that there is no identity.

    The first version of the service is not asked: it answers whoever can make this process send a GET.
    """

    def __init__(self, environ: Mapping[str, str], outbound: Outbound, left: Callable[[], float], absent: str) -> None:
        ipv6 = environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "").lower() == "ipv6"
        own = "http://[fd00:ec2::254]" if ipv6 else "http://169.254.169.254"
        self._base = (environ.get(ENDPOINT) or own).rstrip("/")
        self._outbound = outbound
        self._left = left
        self._absent = absent

    def load(self) -> Loaded:
        """The keys of the instance profile. SourceUnavailable where there is no such service, or no profile."""
        token = {"X-aws-ec2-metadata-token": self._token()}
        role = self._role(token)
        answer = self._ask("GET", _ROLES + role, token)
        told = answer.object()
        code = code_in(told)
        if answer.status != 200 or code not in ("Success", None):
            why = f" ({code})" if code else ""
            raise SourceFailed(f"{ASKED} has no keys for the role {role}: status {answer.status}{why}")
        return keys(told, "Token", f"instance profile {role}", ASKED)

    def _token(self) -> str:
        try:
            answer = self._ask("PUT", _TOKEN_PATH, {"X-aws-ec2-metadata-token-ttl-seconds": _TOKEN_LIFE})
        except SourceFailed as silent:
            raise SourceUnavailable(f"{self._absent}: {ASKED} cannot be asked: {silent.reason}; {_HOP_LIMIT}") from None
        if answer.status in (403, 404, 405):  # turned off, or another cloud's
            raise SourceUnavailable(f"{self._absent}: {ASKED} is turned off, or is not AWS's ({answer.status})")
        return self._word(answer, _TOKEN, "token")

    def _role(self, token: Mapping[str, str]) -> str:
        answer = self._ask("GET", _ROLES, token)
        if answer.status == 404:
            raise SourceUnavailable(f"{self._absent}: no instance profile is attached to this machine")
        return self._word(answer, _ROLE, "role")

    def _word(self, answer: Answer, form: re.Pattern[str], what: str) -> str:
        """The first line of an answer in plain text."""
        lines = answer.body.decode("latin-1").splitlines()
        if answer.status != 200 or not lines or not form.fullmatch(lines[0]):
            raise SourceFailed(f"{ASKED} gave no {what}: status {answer.status}")
        return lines[0]

    def _ask(self, method: str, path: str, fields: Mapping[str, str]) -> Answer:
        way = self._outbound.trusting(METADATA, time_limit=min(_TIME_LIMIT, self._left()))
        return way.ask(method, self._base + path, fields)
