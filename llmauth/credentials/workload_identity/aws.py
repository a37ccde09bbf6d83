"""AWS credentials of the workload itself: IRSA, Pod Identity or ECS, and on a plain EC2 machine its own profile."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from llmauth.credentials import platform
from llmauth.credentials.base import (
    Options,
    StrategyFailed,
    StrategyUnavailable,
    Surroundings,
    credential_at,
    moment,
)
from llmauth.secrets import AwsKeys, Loaded, Secret

CONNECT_TIMEOUT = 1.0
READ_TIMEOUT = 2.0
# The metadata service answers within milliseconds or is not there; a laptop waits this long, once per attempt.
METADATA_TIMEOUT = 1.0

_Answer = Mapping[str, Any]
_RoleArn = Annotated[str, Field(pattern=r"^arn:aws[a-z0-9-]*:iam::[0-9]{12}:role/[A-Za-z0-9_+=,.@/-]{1,512}$")]
_ExternalId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_+=,.@:/-]{2,1224}$")]
_SessionName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_+=,.@-]{2,64}$")]


class AwsWorkloadIdentityOptions(Options):
    """`{type: workload_identity, provider: aws}`; with `role_arn`, that role is assumed with the identity found.

    `allow_node_identity` unset: the machine's instance profile is used outside of Kubernetes only, as in a pod it is
    the node's identity and not the pod's. True uses it there as well, false nowhere.
    """

    type: Literal["workload_identity"] = "workload_identity"
    provider: Literal["aws"] = "aws"
    role_arn: _RoleArn | None = None
    external_id: _ExternalId | None = None
    session_name: _SessionName | None = None
    allow_node_identity: bool | None = None

    @model_validator(mode="after")
    def _external_id_has_its_role(self) -> Self:
        if self.external_id is not None and self.role_arn is None:
            raise ValueError("`external_id` is shown when `role_arn` is assumed; give both")
        return self


class AwsWorkloadIdentity:
    """Every load really fetches, so that what is leased has proved itself; keeping it is the cache's work."""

    def __init__(self, options: AwsWorkloadIdentityOptions, surroundings: Surroundings) -> None:
        self._options = options
        self._environ = surroundings.environ
        self._platform = platform.detect(surroundings.environ)
        self._session_name = options.session_name or _session_name(surroundings)
        environ = surroundings.environ
        self._region = (
            environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or surroundings.region or "us-east-1"
        )
        self._session: Any = None

    @property
    def label(self) -> str:
        return "workload_identity" if self._platform == "eks" else "workload_identity (aws)"

    def load(self) -> Loaded:
        loaded = self._web_identity() or self._container() or self._instance_profile()
        if loaded is None:
            raise StrategyUnavailable(self._why_unavailable())
        return self._assumed(loaded)

    def _why_unavailable(self) -> str:
        reason = f"AWS workload identity not available on {self._platform}"
        if platform.in_kubernetes(self._environ) and not self._options.allow_node_identity:
            return f"{reason} (on AWS nodes, allow_node_identity: true would use the node's own identity)"
        return reason

    # ---- IRSA ------------------------------------------------------------------------------------------------------

    def _web_identity(self) -> Loaded | None:
        token_file = self._environ.get("AWS_WEB_IDENTITY_TOKEN_FILE")
        if not token_file:
            return None
        role = self._environ.get("AWS_ROLE_ARN") or self._options.role_arn
        if not role:
            raise StrategyFailed("AWS_WEB_IDENTITY_TOKEN_FILE is set and names no role: set AWS_ROLE_ARN or role_arn")
        # Read at every load: Kubernetes rotates the token at 80 % of its life.
        token = _token(token_file, "AWS_WEB_IDENTITY_TOKEN_FILE")
        with refusals("AssumeRoleWithWebIdentity"):
            answer = self._sts(keys=None).assume_role_with_web_identity(
                RoleArn=role, RoleSessionName=self._session_name, WebIdentityToken=token
            )
        return _from_sts(answer, f"web identity {role}")

    # ---- Pod Identity, ECS -----------------------------------------------------------------------------------------

    def _container(self) -> Loaded | None:
        from botocore.httpsession import URLLib3Session
        from botocore.utils import ContainerMetadataFetcher

        relative = self._environ.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
        full = self._environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
        if not relative and not full:
            return None
        fetcher = ContainerMetadataFetcher(session=URLLib3Session(timeout=READ_TIMEOUT), sleep=lambda _: None)
        # Three attempts of two seconds would outlive the deadline of a load; the cache tries again by itself.
        fetcher.RETRY_ATTEMPTS = 1
        with refusals("the container's credential endpoint"):
            url = fetcher.full_url(relative) if relative else full
            answer = fetcher.retrieve_full_uri(url, headers=self._container_authorization())
            return _loaded(answer, "Token", "container endpoint")

    def _container_authorization(self) -> dict[str, str] | None:
        token_file = self._environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
        if token_file:
            return {"Authorization": _token(token_file, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")}
        token = self._environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN")
        return {"Authorization": token} if token else None

    # ---- EC2 -------------------------------------------------------------------------------------------------------

    def _instance_profile(self) -> Loaded | None:
        from botocore.exceptions import BotoCoreError
        from botocore.httpsession import URLLib3Session
        from botocore.utils import InstanceMetadataFetcher

        if not self._node_identity_allowed():
            return None
        fetcher = InstanceMetadataFetcher(
            timeout=METADATA_TIMEOUT, num_attempts=1, env=dict(self._environ), config=self._metadata_config()
        )
        # Its own session would send this request through HTTP_PROXY, and the proxy would be the one to be identified.
        fetcher._session = URLLib3Session(timeout=METADATA_TIMEOUT)
        try:
            answer = fetcher.retrieve_iam_role_credentials()
        except BotoCoreError:
            return None
        if not answer:
            return None
        named = {"AccessKeyId": answer["access_key"], "SecretAccessKey": answer["secret_key"]}
        named |= {"Token": answer["token"], "Expiration": answer["expiry_time"]}
        with refusals("the instance metadata service"):
            return _loaded(named, "Token", f"instance profile {answer['role_name']}")

    def _node_identity_allowed(self) -> bool:
        allowed = self._options.allow_node_identity
        return not platform.in_kubernetes(self._environ) if allowed is None else allowed

    def _metadata_config(self) -> dict[str, Any]:
        return {
            "ec2_metadata_service_endpoint": self._environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT"),
            "ec2_metadata_service_endpoint_mode": self._environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"),
            # The older protocol answers whoever can make this process send a GET; and asking it doubles the wait.
            "ec2_metadata_v1_disabled": True,
            # botocore adds up to 25 minutes to the life of a credential that ends soon. Its jitter is at most ten
            # minutes, so this window keeps the end that AWS named.
            "ec2_credential_refresh_window": -600,
        }

    # ---- a role on top ---------------------------------------------------------------------------------------------

    def _assumed(self, loaded: Loaded) -> Loaded:
        role = self._options.role_arn
        if role is None or loaded.source == f"web identity {role}":
            return loaded
        assert isinstance(loaded.credential, AwsKeys)
        wanted = {"RoleArn": role, "RoleSessionName": self._session_name}
        if self._options.external_id is not None:
            wanted["ExternalId"] = self._options.external_id
        with refusals("AssumeRole"):
            answer = self._sts(keys=loaded.credential).assume_role(**wanted)
        return _from_sts(answer, f"role {role} by {loaded.source}")

    def _sts(self, keys: AwsKeys | None) -> Any:
        from botocore import UNSIGNED
        from botocore.config import Config

        if self._session is None:
            self._session = _isolated_session()
        config = bounded().merge(Config(signature_version=UNSIGNED)) if keys is None else bounded()
        endpoint = self._environ.get("AWS_ENDPOINT_URL_STS") or self._environ.get("AWS_ENDPOINT_URL")
        return self._session.create_client(
            "sts",
            region_name=self._region,
            endpoint_url=endpoint or None,
            config=config,
            aws_access_key_id=keys.access_key_id if keys else None,
            aws_secret_access_key=keys.secret_access_key.reveal() if keys else None,
            aws_session_token=keys.session_token.reveal() if keys and keys.session_token else None,
        )


def bounded() -> Any:
    """botocore's client configuration with short limits: its own are 60 s to connect, 60 s to read, three times."""
    from botocore.config import Config

    return Config(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        retries={"total_max_attempts": 1, "mode": "standard"},
    )


def _isolated_session() -> Any:
    """A session that reads no profile: a laptop's ~/.aws, or AWS_PROFILE, must not decide who the workload is."""
    from botocore.session import Session

    nowhere: Mapping[str, tuple[None, None, str | None, Callable[[Any], Any] | None]] = {
        "profile": (None, None, None, None),
        "config_file": (None, None, os.devnull, None),
        "credentials_file": (None, None, os.devnull, None),
    }
    return Session(session_vars=nowhere)


def _session_name(surroundings: Surroundings) -> str:
    given = surroundings.environ.get("AWS_ROLE_SESSION_NAME", "")
    return given if re.fullmatch(r"[\w+=,.@-]{2,64}", given, re.ASCII) else f"llmauth-{surroundings.instance}"[:64]


def _token(path: str, variable: str) -> str:
    try:
        with open(Path(path), encoding="ascii") as file:
            token = file.read(64 * 1024).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StrategyFailed(f"the file that {variable} names cannot be read: {type(error).__name__}") from None
    if not token or not token.isprintable():
        raise StrategyFailed(f"the file that {variable} names holds no token")
    return token


@contextmanager
def refusals(operation: str) -> Iterator[None]:
    """Turn what botocore raises into StrategyFailed with the code AWS gave, or with the class of the error.

    Their texts stay unsaid: they carry URLs, answers and parts of requests.
    """
    from botocore.exceptions import ClientError

    try:
        yield
    except (StrategyFailed, StrategyUnavailable):
        raise
    except ClientError as error:
        raise StrategyFailed(f"AWS refused {operation}: {_code(error.response)}") from None
    except Exception as error:
        # Not botocore's own classes alone: a broken answer ends in whatever its parser runs into.
        raise StrategyFailed(f"{operation} gave no credential: {type(error).__name__}") from None


def _code(response: _Answer) -> str:
    code = str(response.get("Error", {}).get("Code", ""))
    return code if re.fullmatch(r"[A-Za-z0-9.]{1,64}", code) else "unknown"


def _from_sts(answer: _Answer, source: str) -> Loaded:
    with refusals("STS"):
        return _loaded(answer["Credentials"], "SessionToken", source)


def _loaded(answer: _Answer, token_name: str, source: str) -> Loaded:
    fields = {
        "access_key_id": Secret(answer["AccessKeyId"]),
        "secret_access_key": Secret(answer["SecretAccessKey"]),
        "session_token": Secret(answer[token_name]),
    }
    ends = answer["Expiration"]
    return Loaded(
        credential=credential_at(source, fields, "bedrock"),
        source=source,
        expires_at=moment(ends) if isinstance(ends, str) else ends.timestamp(),
    )
