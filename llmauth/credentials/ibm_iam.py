"""IBM Cloud IAM: an API key in, a bearer token of an hour out; and how all of IBM's answers with tokens are read."""

from __future__ import annotations

import re
from typing import Any

from llmauth.credentials.bearers import granted, told_by
from llmauth.outbound import Answer, Outbound
from llmauth.secrets import ApiKey, Credential, Secret
from llmauth.sources import SourceFailed

HOST = "iam.cloud.ibm.com"
PATH = "/identity/token"
API_KEY_GRANT = "urn:ibm:params:oauth:grant-type:apikey"
NAME = "IBM IAM"

_REFUSALS = (400, 401, 403)
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}")


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
    told = told_by(answer, service)
    if answer.status != 200:
        what = f"refused {shown}" if answer.status in _REFUSALS else "gave no token"
        raise SourceFailed(f"{service} {what}: {_code(told, answer.status)}")
    return granted(told, service)


def _code(told: dict[str, Any], status: int) -> str:
    """IAM says `errorCode`; the services of a virtual server have a list of `errors`."""
    code = told.get("errorCode")
    errors = told.get("errors")
    if code is None and isinstance(errors, list) and errors and isinstance(errors[0], dict):
        code = errors[0].get("code")
    return code if isinstance(code, str) and _CODE.fullmatch(code) else f"status {status}"
