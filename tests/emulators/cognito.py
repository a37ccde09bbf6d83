"""A user pool of Cognito, as moto emulates it, at the address that its tokens name: RS256, access and id tokens.

moto signs with joserfc, which its own installation does not bring: ask `pytest.importorskip("joserfc")` before.
"""

from __future__ import annotations

import http.client
from typing import Any

from botocore.session import get_session
from moto.server import ThreadedMotoServer

from tests.emulators.service import Call, Reply, Service

REGION = "eu-west-1"
HOST = f"cognito-idp.{REGION}.amazonaws.com"
_PASSWORD = "Correct-horse-9"
_USER_AUTH = ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]


class Cognito(Service):
    """`issuer` is the pool's; `client_id` an application of it, `other_client_id` another one."""

    def __init__(self) -> None:
        super().__init__(tls=(HOST,))
        self._moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._moto.start()
        host, port = self._moto.get_host_and_port()
        self._place = f"{host}:{port}"
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        self._admin: Any = get_session().create_client(
            "cognito-idp", REGION, endpoint_url=f"http://{self._place}", **keys
        )
        self._pool = self._admin.create_user_pool(PoolName="people")["UserPool"]["Id"]
        self.issuer = f"https://{HOST}/{self._pool}"
        self.client_id, self.other_client_id = self._application("llm"), self._application("other")

    def stop(self) -> None:
        super().stop()
        self._moto.stop()

    def answer(self, call: Call) -> Reply:
        """The two documents of the pool; moto tells its place by the Host field, and has never heard of TLS."""
        connection = http.client.HTTPConnection(self._place, timeout=10)
        connection.request(call.method, call.target, headers={"Host": HOST})
        answered = connection.getresponse()
        content = answered.read().replace(f"http://{HOST}".encode(), f"https://{HOST}".encode())
        connection.close()
        return Reply(answered.status, content)

    def sign_up(self, user: str, *groups: str) -> None:
        """A user with a password, in these groups."""
        named = {"UserPoolId": self._pool, "Username": user}
        self._admin.admin_create_user(**named)
        self._admin.admin_set_user_password(**named, Password=_PASSWORD, Permanent=True)
        for group in groups:
            self._admin.create_group(UserPoolId=self._pool, GroupName=group)
            self._admin.admin_add_user_to_group(**named, GroupName=group)

    def tokens(self, user: str, client_id: str | None = None) -> tuple[str, str]:
        """The access token and the id token of a login."""
        told = self._admin.initiate_auth(
            ClientId=client_id or self.client_id,
            AuthFlow="USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": user, "PASSWORD": _PASSWORD},
        )["AuthenticationResult"]
        return told["AccessToken"], told["IdToken"]

    def _application(self, name: str) -> str:
        made = self._admin.create_user_pool_client(UserPoolId=self._pool, ClientName=name, ExplicitAuthFlows=_USER_AUTH)
        client_id: str = made["UserPoolClient"]["ClientId"]
        return client_id
