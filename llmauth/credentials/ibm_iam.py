"""IBM Cloud IAM: an API key in, a bearer token of an hour out."""

from __future__ import annotations

import json
import re
from typing import Any

from llmauth.credentials.base import StrategyFailed
from llmauth.credentials.outbound import Answer, Outbound
from llmauth.secrets import Secret

HOST = "iam.cloud.ibm.com"
PATH = "/identity/token"
API_KEY_GRANT = "urn:ibm:params:oauth:grant-type:apikey"

_REFUSALS = (400, 401, 403)
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_TOKEN = re.compile(r"[\x21-\x7e]+")
# No service of this kind gives a token for longer, and a number of another size is no length of time.
_LONGEST_LIFE = 24 * 3600.0


class IbmIam:
    """The token service of IBM Cloud."""

    name = "IBM IAM"

    def __init__(self, outbound: Outbound) -> None:
        self._outbound = outbound

    def token(self, key: Secret) -> tuple[Secret, float]:
        """A token and its life in seconds; blocks. Raises StrategyFailed with IBM's code, and without its text."""
        answer = self._outbound.post_form(HOST, PATH, {"grant_type": API_KEY_GRANT, "apikey": key.reveal()})
        told = _object(answer)
        if answer.status != 200:
            what = "refused the API key" if answer.status in _REFUSALS else "gave no token"
            raise StrategyFailed(f"IBM IAM {what}: {_code(told, answer.status)}")
        token, life = told.get("access_token"), told.get("expires_in")
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise StrategyFailed("IBM IAM answered without a token")
        # The life, and not the moment: it does not depend on how our clock and IBM's agree.
        if isinstance(life, bool) or not isinstance(life, int | float) or not 0 < life <= _LONGEST_LIFE:
            raise StrategyFailed("IBM IAM answered without the life of its token")
        return Secret(token), float(life)


def _object(answer: Answer) -> dict[str, Any]:
    try:
        value = json.loads(answer.body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        if answer.status == 200:
            raise StrategyFailed("IBM IAM answered something that is no JSON object")
        return {}
    return value


def _code(told: dict[str, Any], status: int) -> str:
    code = told.get("errorCode")
    return code if isinstance(code, str) and _CODE.fullmatch(code) else f"status {status}"
