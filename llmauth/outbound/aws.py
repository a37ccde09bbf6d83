"""The same calls for AWS's library: it finds the endpoint, writes, signs and reads, and every request goes our way."""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from llmauth.addresses import is_loopback
from llmauth.outbound import METADATA, Outbound
from llmauth.secrets import AwsKeys
from llmauth.sources import SourceFailed

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest, AWSResponse
    from botocore.config import Config
    from botocore.session import Session

Service = Literal["sts", "secretsmanager", "iam"]
_ENDPOINTS: Mapping[Service, str] = {
    "sts": "AWS_ENDPOINT_URL_STS",
    "secretsmanager": "AWS_ENDPOINT_URL_SECRETS_MANAGER",
    "iam": "AWS_ENDPOINT_URL_IAM",
}

# Limits of botocore's own connections, where a profile makes it use them; its own are 60 s, 60 s, and three attempts.
CONNECT_TIMEOUT = 1.0
READ_TIMEOUT = 2.0
# The value of a secret has up to 64 KiB, and in JSON each of its bytes may take six.
_MOST = 512 * 1024
# Put in by us: what a library says about them holds for its own connections.
_OURS = frozenset({"host", "content-length", "connection", "accept-encoding", "transfer-encoding", "expect"})
_CODE = re.compile(r"[A-Za-z0-9.]{1,64}")
_DEFAULT_PORT = {"https": ":443", "http": ":80"}
# A session makes its clients one at a time.
_LOCK = threading.Lock()


def client(
    service: Service,
    outbound: Outbound,
    environ: Mapping[str, str],
    *,
    region: str,
    keys: AwsKeys | None = None,
    endpoint: str | None = None,
) -> Any:
    """A client of botocore for one service in one region; without `keys` its calls are not signed.

    No profile, file or variable of botocore's decides whom it asks or as whom, but those of `environ`: an endpoint
    (`AWS_ENDPOINT_URL_STS`), FIPS, dual-stack. Each call ends within the outbound's own limit, is made once, and raises
    SourceFailed where it cannot be asked, with the reason of ours; ClientError where it was refused.
    """
    url = endpoint or configured_endpoint(service, environ)
    with _LOCK:
        made = _session(_sts_endpoints(environ)).create_client(
            service,
            region_name=region,
            endpoint_url=url,
            config=_config(environ, signed=keys is not None),
            # Never None where it signs: botocore would then look for an identity of its own.
            aws_access_key_id=keys.access_key_id if keys else None,
            aws_secret_access_key=keys.secret_access_key.reveal() if keys else None,
            aws_session_token=keys.session_token.reveal() if keys and keys.session_token else None,
        )
    made.meta.events.register("before-send", sender(outbound if url is None else _reaching(outbound, url)))
    return made


def configured_endpoint(service: Service, environ: Mapping[str, str]) -> str | None:
    """The URL that the environment names for a service, as AWS's own tools read it."""
    if environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true":
        return None
    return environ.get(_ENDPOINTS[service]) or environ.get("AWS_ENDPOINT_URL") or None


def sender(outbound: Outbound) -> Callable[..., AWSResponse]:
    """What answers botocore's event `before-send`, so that botocore itself opens no connection.

    Its own would go through HTTPS_PROXY and believe REQUESTS_CA_BUNDLE, whatever is configured here.
    """

    def send(request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        from botocore.awsrequest import AWSResponse

        url, body = request.url, request.body or b""
        fields = {name: _text(value) for name, value in request.headers.items() if name.lower() not in _OURS}
        # Signed without the port that goes without saying.
        fields["Host"] = urlsplit(url).netloc.removesuffix(_DEFAULT_PORT.get(urlsplit(url).scheme, ""))
        content = body.encode() if isinstance(body, str) else bytes(body)
        answered = outbound.ask(request.method, url, fields, content, most=_MOST)
        # Neither an answer nor a refusal of AWS, and often of no form that botocore could read.
        if answered.status // 100 not in (2, 4):
            raise SourceFailed(f"{fields['Host']} answered with status {answered.status}")
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in answered.headers.fields}
        return AWSResponse(url, answered.status, headers, _Whole(answered.body))

    return send


def error_code(error: Exception) -> str:
    """AWS's code of a ClientError, `unknown` where it has none or one of an odd form."""
    response = getattr(error, "response", {})
    code = str(response.get("Error", {}).get("Code", ""))
    return code if _CODE.fullmatch(code) else "unknown"


def partition_of(region: str) -> str | None:
    """`aws`, `aws-cn`, `aws-us-gov` …: the partition that a region is in, `None` for one that has no such form."""
    from botocore.exceptions import UnknownRegionError

    try:
        with _LOCK:
            return str(_session("regional").get_partition_for_region(region))
    except UnknownRegionError:
        return None


def bounded() -> Config:
    """botocore's configuration for connections of its own, with short limits and one attempt."""
    from botocore.config import Config

    return Config(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        retries={"total_max_attempts": 1, "mode": "standard"},
    )


class _Whole:
    """A body that is read already, as botocore reads one."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self._body


def _reaching(outbound: Outbound, url: str) -> Outbound:
    """The way to an endpoint that somebody wrote down: it may be private, and in clear text on this machine alone."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        raise SourceFailed("the configured endpoint of AWS is no URL") from None
    if parts.scheme == "http" and is_loopback(host):
        return outbound.trusting(METADATA)
    return outbound.allowing(host)


def _config(environ: Mapping[str, str], *, signed: bool) -> Config:
    from botocore import UNSIGNED
    from botocore.config import Config

    told = Config(
        use_fips_endpoint=_is_on("AWS_USE_FIPS_ENDPOINT", environ),
        use_dualstack_endpoint=_is_on("AWS_USE_DUALSTACK_ENDPOINT", environ),
        # Ours are found by us; those of a file, or of another environment, do not count.
        ignore_configured_endpoint_urls=True,
    )
    config = bounded().merge(told)
    return config if signed else config.merge(Config(signature_version=UNSIGNED))


def _is_on(variable: str, environ: Mapping[str, str]) -> bool:
    return environ.get(variable, "").lower() == "true"


def _sts_endpoints(environ: Mapping[str, str]) -> str:
    return "legacy" if environ.get("AWS_STS_REGIONAL_ENDPOINTS", "").lower() == "legacy" else "regional"


@cache
def _session(sts_endpoints: str) -> Session:
    """A session that reads no profile: a laptop's ~/.aws, or AWS_PROFILE, must not decide who asks."""
    from botocore.session import Session

    # Its debug lines hold requests and answers: tokens, and the secrets themselves.
    logging.getLogger("botocore").setLevel(logging.WARNING)
    nowhere: Mapping[str, tuple[None, None, str | None, Callable[[Any], Any] | None]] = {
        "profile": (None, None, None, None),
        "config_file": (None, None, os.devnull, None),
        "credentials_file": (None, None, os.devnull, None),
    }
    session = Session(session_vars=nowhere)
    session.set_config_variable("sts_regional_endpoints", sts_endpoints)
    return session


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
