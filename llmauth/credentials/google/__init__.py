"""Google: a service account's key, or another credential file, in; a bearer token of an hour out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from llmauth.credentials.google.calls import Calls, impersonated
from llmauth.credentials.google.credential_file import FEDERATED, HELD, VARIABLE, parsed
from llmauth.credentials.google.grants import SCOPE, granted
from llmauth.outbound import Outbound
from llmauth.secrets import Credential, GoogleAccount, Secret
from llmauth.sources import SourceFailed

_UNIVERSE = "googleapis.com"


class Google:
    """The token services of Google.

    Whoever writes a secret must gain nothing by it but the use of what it holds. So a file of federation is refused,
    since it names files and addresses that we would read for it; and a file is exchanged at one of the addresses that
    `calls` knows, whatever stands in it.
    """

    name = "Google"

    def __init__(self, outbound: Outbound) -> None:
        self._outbound = outbound

    def takes(self, credential: Credential) -> bool:
        return isinstance(credential, GoogleAccount)

    def token(self, credential: Credential) -> tuple[Secret, float]:
        """A token and its life in seconds; blocks. Raises SourceFailed with Google's code, and without its text."""
        assert isinstance(credential, GoogleAccount)
        file = parsed(credential.info.reveal(), "the secret")
        grant = granted(_built(file.info), Calls(self._outbound))
        return grant.token, grant.ends - time.time()


def _built(info: Mapping[str, Any]) -> Any:
    """Credentials of google-auth, made without asking anybody."""
    kind = info.get("type")
    if kind == FEDERATED:
        raise SourceFailed(
            f"a file of type {FEDERATED} holds no secret and names what is to be read for it, so it is taken from no "
            f"secret: name the file in {VARIABLE}, and use workload_identity (gcp)"
        )
    if kind not in HELD:
        raise SourceFailed(f"a credential file of this type is not known here: {', '.join(HELD)}")
    if info.get("universe_domain", _UNIVERSE) != _UNIVERSE:
        raise SourceFailed(f"its universe_domain is another than {_UNIVERSE}, which is the only one that is served")
    build = {HELD[0]: _service_account, HELD[1]: _authorized_user, HELD[2]: _impersonated}[kind]
    try:
        return build(info)
    except SourceFailed:
        raise
    except Exception as error:
        # Of a key that is none, a text of the library's could show the beginning.
        raise SourceFailed(f"the {kind} file cannot be used: {type(error).__name__}; is it whole?") from None


def _service_account(info: Mapping[str, Any]) -> Any:
    from google.oauth2 import service_account

    make: Any = service_account.Credentials.from_service_account_info
    return make(info, scopes=[SCOPE])


def _authorized_user(info: Mapping[str, Any]) -> Any:
    from google.oauth2 import credentials

    # Only these: google-auth would also take a token and its end out of the file, and believe them.
    wanted = {name: info[name] for name in ("client_id", "client_secret", "refresh_token")}
    make: Any = credentials.Credentials.from_authorized_user_info
    return make(wanted)


def _impersonated(info: Mapping[str, Any]) -> Any:
    from google.auth import impersonated_credentials

    source = info.get("source_credentials")
    if not isinstance(source, dict) or source.get("type") not in HELD[:2]:
        raise SourceFailed(f"its source_credentials are no {HELD[0]} and no {HELD[1]}")
    url = info.get("service_account_impersonation_url")
    make: Any = impersonated_credentials.Credentials
    return make(
        source_credentials=_built(source),
        target_principal=impersonated(url),
        target_scopes=[SCOPE],
        delegates=info.get("delegates") or [],
        iam_endpoint_override=url,
    )
