"""Each way of logging in: what it shows, and the token that Vault gives for it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from llmauth.platform import Machine
from llmauth.secrets import AwsKeys, Secret
from llmauth.sources import SourceFailed, SourceUnavailable
from llmauth.vaults.base import Identities
from llmauth.vaults.hashicorp.calls import Answer, Calls, Question, seconds
from llmauth.vaults.hashicorp.methods import ROLE, SERVICE_ACCOUNT_TOKEN, from_file, home_token, in_home, sendable
from llmauth.vaults.hashicorp.options import AppRoleAuth, Auth, AwsAuth, JwtAuth, KubernetesAuth, TokenAuth

_CALLER = "Action=GetCallerIdentity&Version=2011-06-15"
_GONE = (400, 403, 404)
_Shown = KubernetesAuth | AppRoleAuth | JwtAuth | AwsAuth


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A token, its life in seconds (`None`: it has no end, or none that we may know), and whether it can be renewed."""

    token: Secret
    life: float | None
    renewable: bool


class Logins:
    """Logs in at Vault by one method; files and variables are read each time, since they are rotated."""

    def __init__(self, calls: Calls, auth: Auth, machine: Machine, identities: Identities) -> None:
        self._calls = calls
        self._auth = auth
        self._machine = machine
        self._identities = identities

    def log_in(self, ends: float) -> Login:
        """A new token; blocks. SourceFailed where Vault refuses, or where there is nothing to show it."""
        auth = self._auth
        if isinstance(auth, TokenAuth):
            return self._known(self._token(auth), ends)
        answer = self._calls.ask(self._question(auth), ends)
        if not answer.ok:
            raise self._refused(auth, answer)
        login = _login(answer)
        if login is None:
            raise SourceFailed(f"Vault at {self._calls.place.host} answered the login by {auth.method} without a token")
        return login

    def knows(self, token: Secret, ends: float) -> bool:
        """Whether Vault says that this is a token of its own, which it may do without."""
        return self._calls.ask(lambda client: client.auth.token.lookup_self(), ends, token).ok

    def renew(self, token: Secret, ends: float) -> Login | None:
        """The same token with a new life; `None` where Vault will not, and a login has to take its place."""
        answer = self._calls.ask(lambda client: client.auth.token.renew_self(), ends, token)
        if answer.status in _GONE:
            return None
        if not answer.ok:
            raise self._calls.refusal(answer, "longer life for our token")
        renewed = _login(answer)
        return renewed if renewed is not None and renewed.token == token else None

    # ---- what is shown ---------------------------------------------------------------------------------------------

    def _question(self, auth: _Shown) -> Question:
        if isinstance(auth, KubernetesAuth):
            return self._kubernetes(auth)
        if isinstance(auth, AppRoleAuth):
            return self._approle(auth)
        return self._jwt(auth) if isinstance(auth, JwtAuth) else self._aws(auth)

    def _kubernetes(self, auth: KubernetesAuth) -> Question:
        file = str(auth.token_file or SERVICE_ACCOUNT_TOKEN)
        jwt = from_file(file, self._machine, "the token of a service account").reveal()
        role = auth.role or self._role() or ROLE
        return lambda client: client.auth.kubernetes.login(role, jwt, use_token=False, mount_point=auth.mount)

    def _approle(self, auth: AppRoleAuth) -> Question:
        role_id = self._given(auth.role_id, auth.role_id_file, "VAULT_ROLE_ID", "role_id").reveal()
        secret_id = self._given(auth.secret_id, auth.secret_id_file, "VAULT_SECRET_ID", "secret_id").reveal()
        return lambda client: client.auth.approle.login(role_id, secret_id, use_token=False, mount_point=auth.mount)

    def _jwt(self, auth: JwtAuth) -> Question:
        jwt = self._given(auth.token, auth.token_file, None, "token").reveal()
        role = auth.role or self._role()
        return lambda client: client.auth.jwt.jwt_login(role, jwt, use_token=False, path=auth.mount)

    def _aws(self, auth: AwsAuth) -> Question:
        try:
            keys = self._identities.aws()
        except (SourceUnavailable, SourceFailed) as failure:
            raise SourceFailed(f"the login at Vault by aws has no identity to show: {failure.reason}") from None
        shown = {**_signed(keys, auth), "role": auth.role or self._role() or ""}
        # The library's own way signs for one region alone, and knows no endpoint but the global one.
        return lambda client: client.adapter.login(f"/v1/auth/{auth.mount}/login", use_token=False, json=shown)

    def _token(self, auth: TokenAuth) -> Secret:
        environ = self._machine.environ
        if auth.token is not None or auth.token_file is not None or environ.get("VAULT_TOKEN"):
            return self._given(auth.token, auth.token_file, "VAULT_TOKEN", "token")
        return from_file(home_token(self._machine), self._machine, "a token of Vault")

    def _known(self, token: Secret, ends: float) -> Login:
        """A token that somebody else got: when it ends, as far as it may ask about itself."""
        answer = self._calls.ask(lambda client: client.auth.token.lookup_self(), ends, token)
        if answer.status in _GONE:
            # It may be without the policy for this alone; whether it is good, the read will show.
            return Login(token=token, life=None, renewable=False)
        if not answer.ok:
            raise self._calls.refusal(answer, "word about our token")
        about = answer.content.get("data")
        about = about if isinstance(about, dict) else {}
        return Login(token=token, life=seconds(about.get("ttl")), renewable=about.get("renewable") is True)

    def _given(self, value: SecretStr | None, file: Path | None, variable: str | None, name: str) -> Secret:
        if value is not None:
            return sendable(value.get_secret_value(), f"vaults.hashicorp.auth.{name} is no {name}")
        if file is not None:
            return from_file(in_home(str(file), self._machine), self._machine, f"a {name} for Vault")
        text = self._machine.environ.get(variable or "", "")
        if not text:
            raise SourceFailed(f"the login at Vault has no {name}: set vaults.hashicorp.auth.{name}_file or {variable}")
        return sendable(text, f"{variable} is no {name}")

    def _role(self) -> str | None:
        return self._machine.environ.get("VAULT_ROLE") or None

    def _refused(self, auth: _Shown, answer: Answer) -> SourceFailed:
        if answer.status not in _GONE:
            return self._calls.refusal(answer, f"login by {auth.method}")
        place = self._calls.place
        where = f"auth/{auth.mount}" + (f" of namespace {place.namespace}" if place.namespace else "")
        return SourceFailed(
            f"Vault at {place.host} refused the login by {auth.method} at {where} (HTTP {answer.status}): "
            f"{_SUSPECTS[auth.method]}"
        )


_SUSPECTS: Mapping[str, str] = {
    "kubernetes": "the role must exist, and bind this service account and the audience of its token",
    "approle": "the role_id is wrong, or the secret_id is wrong, used up or expired",
    "jwt": "the role must exist, and bind the issuer, subject and audience of this token",
    "aws": "the role must exist and bind our identity, and header_value be the server's iam_server_id_header_value",
}


def _login(answer: Answer) -> Login | None:
    auth = answer.content.get("auth")
    token = auth.get("client_token") if isinstance(auth, dict) else None
    if not isinstance(auth, dict) or not isinstance(token, str):
        return None
    try:
        checked = sendable(token, "")
    except SourceFailed:
        return None
    return Login(token=checked, life=seconds(auth.get("lease_duration")), renewable=auth.get("renewable") is True)


def _signed(keys: AwsKeys, auth: AwsAuth) -> Mapping[str, str]:
    """A signed request to STS that Vault sends in our place, to be told who signed it. It can do nothing else."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    host = _sts(auth.region)
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8", "Host": host}
    if auth.header_value is not None:
        # Keeps a request that was shown to one server from being shown to another: it is signed with the rest.
        headers["X-Vault-AWS-IAM-Server-ID"] = auth.header_value
    request = AWSRequest("POST", f"https://{host}/", headers=headers, data=_CALLER)
    session_token = keys.session_token.reveal() if keys.session_token else None
    credentials = Credentials(keys.access_key_id, keys.secret_access_key.reveal(), session_token)
    SigV4Auth(credentials, "sts", auth.region or "us-east-1").add_auth(request)
    return {
        "iam_http_request_method": "POST",
        "iam_request_url": _base64(f"https://{host}/"),
        "iam_request_headers": _base64(json.dumps({name: [value] for name, value in request.headers.items()})),
        "iam_request_body": _base64(_CALLER),
    }


def _sts(region: str | None) -> str:
    if region is None:
        return "sts.amazonaws.com"
    return f"sts.{region}.amazonaws.com" + (".cn" if region.startswith("cn-") else "")


def _base64(text: Any) -> str:
    return base64.b64encode(str(text).encode()).decode("ascii")
