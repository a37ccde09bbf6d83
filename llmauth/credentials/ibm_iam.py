"""IBM Cloud IAM: an API key in, a bearer token of an hour out; and how all of IBM's answers with tokens are read."""

from __future__ import annotations

import json
import re
from typing import Any

from llmauth.outbound import Answer, Outbound
from llmauth.secrets import ApiKey, Credential, Secret
from llmauth.sources import SourceFailed

HOST = "iam.cloud.ibm.com"
PATH = "/identity/token"
API_KEY_GRANT = "urn:ibm:params:oauth:grant-type:apikey"
NAME = "IBM IAM"

_REFUSALS = (400, 401, 403)
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_TOKEN = re.compile(r"[\x21-\x7e]+")
# No service of this kind gives a token for longer, and a number of another size is no length of time.
_LONGEST_LIFE = 24 * 3600.0


class IbmIam:
    """The token service of IBM Cloud."""

    name = NAME

    def __init__(self, outbound: Outbound) -> None:
        self._outbound = outbound

    def takes(self, credential: Credential) -> bool:
        return isinstance(credential, ApiKey)

    def token(self, credential: Credential) -> tuple[Secret, float]:
        """A token and its life in seconds; blocks. Raises SourceFailed with IBM's code, and without its text."""
        assert isinstance(credential, ApiKey)
        form = {"grant_type": API_KEY_GRANT, "apikey": credential.value.reveal()}
        return given(self._outbound.post_form(HOST, PATH, form), NAME, "the API key")


def given(answer: Answer, service: str, shown: str) -> tuple[Secret, float]:
    """The token of an answer and its life in seconds. `service` is who answered, and `shown` what it was given for.

    Raises SourceFailed with IBM's code, and without its text.
    """
    told = _object(answer, service)
    if answer.status != 200:
        what = f"refused {shown}" if answer.status in _REFUSALS else "gave no token"
        raise SourceFailed(f"{service} {what}: {_code(told, answer.status)}")
    token, life = told.get("access_token"), told.get("expires_in")
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise SourceFailed(f"{service} answered without a token")
    # The life, and not the moment: it does not depend on how our clock and IBM's agree.
    if isinstance(life, bool) or not isinstance(life, int | float) or not 0 < life <= _LONGEST_LIFE:
        raise SourceFailed(f"{service} answered without the life of its token")
    return Secret(token), float(life)


def _object(answer: Answer, service: str) -> dict[str, Any]:
    try:
        value = json.loads(answer.body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        if answer.status == 200:
            raise SourceFailed(f"{service} answered something that is no JSON object")
        return {}
    return value


def _code(told: dict[str, Any], status: int) -> str:
    """IAM says `errorCode`; the services of a virtual server have a list of `errors`."""
    code = told.get("errorCode")
    errors = told.get("errors")
    if code is None and isinstance(errors, list) and errors and isinstance(errors[0], dict):
        code = errors[0].get("code")
    return code if isinstance(code, str) and _CODE.fullmatch(code) else f"status {status}"
