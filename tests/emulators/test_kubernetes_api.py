"""The emulated API server is what the official client of Kubernetes expects: good answers, refusals and tokens."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from textwrap import dedent

import jwt
import pytest

from tests.e2e.clients.sdks import Sdks
from tests.emulators.kubernetes_api import ISSUER, MASTERS, KubernetesApi
from tests.fixtures.kubernetes import kubeconfig, with_certificate
from tests.llmauth.demo.clients import cloud_interpreter

IN_CLUSTER = """
    import json
    from kubernetes import client
    from kubernetes.config.incluster_config import InClusterConfigLoader

    configuration = client.Configuration()
    environ = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(port)}
    loader = InClusterConfigLoader(token_filename=token_file, cert_filename=ca_file, environ=environ)
    loader.load_and_set(configuration)
    api = client.ApiClient(configuration)
    core, authentication = client.CoreV1Api(api), client.AuthenticationV1Api(api)

    def refusal(call, *arguments):
        try:
            call(*arguments)
        except client.ApiException as problem:
            told = json.loads(problem.body)
            return [problem.status, told["kind"], told["reason"], told["message"]]
"""


@pytest.fixture(scope="module")
def sdks() -> Iterator[Sdks]:
    running = Sdks(cloud_interpreter(), "kubernetes")
    yield running
    running.close()


@pytest.fixture
def api() -> Iterator[KubernetesApi]:
    with KubernetesApi() as running:
        yield running


@pytest.fixture
def ask(api, sdks, tmp_path):
    """Runs lines with the official client, which stands in a pod of llmauth/proxy."""
    token = tmp_path / "token"
    token.write_text(api.token("llmauth", "proxy", pod="proxy-0"))
    names = {"port": api.port, "token_file": str(token), "ca_file": str(api.write_ca(tmp_path))}
    return lambda code, **more: sdks.run(dedent(IN_CLUSTER) + dedent(code), {}, **names, **more)


def test_a_secret_by_its_name(api, ask) -> None:
    version = api.keep("llmauth", "openai", api_key="sk-1\n")
    api.allow("system:serviceaccount:llmauth:proxy", "get", "secrets", "llmauth", "openai")
    told = ask("""
    secret = core.read_namespaced_secret("openai", "llmauth")
    result = [secret.kind, secret.data, secret.metadata.resource_version, secret.type]
    """)
    assert told == ["Secret", {"api_key": base64.b64encode(b"sk-1\n").decode()}, version, "Opaque"]
    assert api.keep("llmauth", "openai", api_key="sk-2") != version


def test_refusals_are_those_of_the_real_server(api, ask) -> None:
    api.allow("system:serviceaccount:llmauth:proxy", "get", "secrets", "llmauth", "openai")
    forbidden, missing, elsewhere = ask("""
    result = [refusal(core.read_namespaced_secret, "other", "llmauth"),
              refusal(core.read_namespaced_secret, "openai", "llmauth"),
              refusal(core.read_namespaced_secret, "openai", "kube-system")]
    """)
    assert forbidden[:3] == [403, "Status", "Forbidden"]
    assert forbidden[3] == (
        'secrets "other" is forbidden: User "system:serviceaccount:llmauth:proxy" cannot get resource "secrets" in API '
        'group "" in the namespace "llmauth"'
    )
    assert missing == [404, "Status", "NotFound", 'secrets "openai" not found']
    assert elsewhere[0] == 403


def test_a_list_is_not_allowed_by_a_rule_for_one_name(api, ask) -> None:
    api.allow("system:serviceaccount:llmauth:proxy", "list", "secrets", "llmauth", "openai")
    assert ask('result = refusal(core.list_namespaced_secret, "llmauth")')[0] == 403
    api.keep("llmauth", "openai", api_key="sk-1")
    api.allow("system:serviceaccount:llmauth:proxy", "list", "secrets", "llmauth")
    found = ask('result = [one.metadata.name for one in core.list_namespaced_secret("llmauth").items]')
    assert found == ["openai"]


def test_making_replacing_and_deleting(api, ask) -> None:
    for verb in ("create", "update", "delete", "get"):
        api.allow("system:serviceaccounts:llmauth", verb, "secrets", "llmauth")
    told = ask("""
    secret = client.V1Secret(metadata=client.V1ObjectMeta(name="made"), string_data={"api_key": "sk-1"})
    made = core.create_namespaced_secret("llmauth", secret)
    result = [refusal(core.create_namespaced_secret, "llmauth", secret)]
    made.data = {"api_key": "c2stMg=="}
    newer = core.replace_namespaced_secret("made", "llmauth", made)
    result += [refusal(core.replace_namespaced_secret, "made", "llmauth", made)]
    result += [core.read_namespaced_secret("made", "llmauth").data["api_key"]]
    core.delete_namespaced_secret("made", "llmauth")
    result += [refusal(core.read_namespaced_secret, "made", "llmauth")]
    """)
    exists, stale, value, gone = told
    assert (exists[0], exists[2], stale[0], stale[2], gone[0]) == (409, "AlreadyExists", 409, "Conflict", 404)
    assert value == "c2stMg=="


def test_a_token_ends_and_its_successor_is_taken(api, ask, tmp_path) -> None:
    """The client itself keeps the token of a file for a minute, so a new one is told to it."""
    api.keep("llmauth", "openai", api_key="sk-1")
    api.allow("system:serviceaccount:llmauth:proxy", "get", "secrets", "llmauth")
    api.now = lambda: time.time() + 3601
    code = 'result = refusal(core.read_namespaced_secret, "openai", "llmauth")'
    assert ask(code) == [401, "Status", "Unauthorized", "Unauthorized"]
    (tmp_path / "token").write_text(api.token("llmauth", "proxy"))
    assert ask(code) is None


@pytest.mark.parametrize("how", ["new key", "account gone", "other audience", "other issuer", "no JWT"])
def test_a_token_that_is_not_good_any_more(api, ask, tmp_path, how) -> None:
    api.allow("system:serviceaccount:llmauth:proxy", "get", "secrets", "llmauth")
    if how == "new key":
        api.new_signing_key()
    elif how == "account gone":
        api.delete_account("llmauth", "proxy")
    elif how == "other audience":
        (tmp_path / "token").write_text(api.token("llmauth", "proxy", audiences=["vault"]))
    elif how == "other issuer":
        claims = jwt.decode((tmp_path / "token").read_text(), options={"verify_signature": False})
        (tmp_path / "token").write_text(api.signed({**claims, "iss": "https://elsewhere.example"}))
    else:
        (tmp_path / "token").write_text("abc")
    assert ask('result = refusal(core.read_namespaced_secret, "openai", "llmauth")')[0] == 401


KUBECONFIG = """
    from kubernetes import client, config

    loaded = config.new_client_from_config_dict(kubeconfig)
    try:
        result = client.CoreV1Api(loaded).read_namespaced_secret("openai", "default").metadata.name
    except client.ApiException as problem:
        result = problem.status
"""


def test_client_certificates(api, sdks) -> None:
    api.keep("default", "openai", api_key="sk-1")
    assert sdks.run(KUBECONFIG, {}, kubeconfig=with_certificate(api, "minikube-user", MASTERS)) == "openai"
    assert sdks.run(KUBECONFIG, {}, kubeconfig=with_certificate(api, "somebody")) == 403
    assert sdks.run(KUBECONFIG, {}, kubeconfig=kubeconfig(api)) == 403  # system:anonymous
    api.allow("somebody", "get", "secrets", "default", "openai")
    assert sdks.run(KUBECONFIG, {}, kubeconfig=with_certificate(api, "somebody")) == "openai"


def test_a_certificate_of_somebody_elses_authority(api, sdks) -> None:
    with KubernetesApi() as other:
        config = with_certificate(other, "minikube-user", MASTERS)
    config["clusters"] = kubeconfig(api)["clusters"]
    with pytest.raises(Exception, match=r"MaxRetryError|SSLError"):
        sdks.run(KUBECONFIG, {}, kubeconfig=config)


def test_token_requests(api, ask) -> None:
    api.account("team-a", "app")
    api.allow("system:serviceaccount:llmauth:proxy", "create", "serviceaccounts/token", "team-a", "app")
    token, short, nobody = ask("""
    def request(seconds, audiences):
        spec = client.V1TokenRequestSpec(audiences=audiences, expiration_seconds=seconds)
        return client.AuthenticationV1TokenRequest(spec=spec)

    made = core.create_namespaced_service_account_token("app", "team-a", request(900, ["llmauth"]))
    make = core.create_namespaced_service_account_token
    result = [made.status.token, refusal(make, "app", "team-a", request(60, ["llmauth"])),
              refusal(make, "app", "team-b", request(900, ["llmauth"]))]
    """)
    claims = jwt.decode(token, options={"verify_signature": False})
    assert (claims["aud"], claims["sub"]) == (["llmauth"], "system:serviceaccount:team-a:app")
    assert claims["exp"] - claims["iat"] == 900
    assert (short[0], short[2], nobody[0]) == (422, "Invalid", 403)


def test_token_reviews(api, ask) -> None:
    code = """
    def review(token, audiences=None):
        spec = client.V1TokenReviewSpec(token=token, audiences=audiences)
        return authentication.create_token_review(client.V1TokenReview(spec=spec)).status.to_dict()

    result = refusal(review, token) or [review(token, ["llmauth"]), review(token, ["other"]), review(token)]
    """
    token = api.token("team-a", "app", audiences=["llmauth"], pod="app-1")
    assert ask(code, token=token)[:3] == [403, "Status", "Forbidden"]
    api.allow("system:serviceaccount:llmauth:proxy", "create", "tokenreviews")
    good, other, ours = ask(code, token=token)
    assert (good["authenticated"], good["audiences"]) == (True, ["llmauth"])
    assert good["user"]["username"] == "system:serviceaccount:team-a:app"
    assert good["user"]["extra"]["authentication.kubernetes.io/pod-name"] == ["app-1"]
    assert "system:serviceaccounts:team-a" in good["user"]["groups"]
    for refused in (other, ours):
        assert not refused["authenticated"]
        assert "audiences are invalid" in refused["error"]


def test_the_issuers_documents_verify_its_tokens(api, ask) -> None:
    token = api.token("team-a", "app", audiences=["llmauth"])
    document, keys = ask("""
    documents, keys = client.WellKnownApi(api), client.OpenidApi(api)
    raw = [documents.get_service_account_issuer_open_id_configuration(_preload_content=False),
           keys.get_service_account_issuer_open_id_keyset(_preload_content=False)]
    result = [answer.data.decode() for answer in raw]
    """)
    assert json.loads(document)["issuer"] == ISSUER
    (key,) = jwt.PyJWKSet.from_dict(json.loads(keys)).keys
    assert jwt.decode(token, key, algorithms=["RS256"], audience="llmauth", issuer=ISSUER)["sub"].endswith(
        ":team-a:app"
    )


def test_the_version(ask) -> None:
    assert ask("result = client.VersionApi(api).get_code().git_version") == "v1.34.1"


# kubectl, where it is installed

KUBECTL = shutil.which("kubectl")


@pytest.fixture
def kubectl(api, tmp_path):
    """Runs kubectl against the emulator with a kubeconfig of the test's."""
    if KUBECTL is None:
        pytest.skip("kubectl is not here.")

    def run(config: dict[str, object], *arguments: str) -> tuple[str, str]:
        (tmp_path / "config").write_text(json.dumps(config))
        environ = {"KUBECONFIG": str(tmp_path / "config"), "HOME": str(tmp_path), "PATH": os.environ["PATH"]}
        done = subprocess.run([KUBECTL, *arguments], env=environ, capture_output=True, text=True, timeout=30)
        return done.stdout, done.stderr

    return run


def test_kubectl_reads_a_secret_by_certificate_and_by_token(api, kubectl) -> None:
    api.keep("default", "openai", api_key="sk-1")
    path = "/api/v1/namespaces/default/secrets/openai"
    for config in (
        with_certificate(api, "minikube-user", MASTERS),
        kubeconfig(api, token=api.token("default", "reader")),
    ):
        api.allow("system:serviceaccount:default:reader", "get", "secrets", "default", "openai")
        told, _ = kubectl(config, "get", "--raw", path)
        assert json.loads(told)["data"] == {"api_key": "c2stMQ=="}


def test_kubectl_understands_the_refusals(api, kubectl) -> None:
    config = kubeconfig(api, token=api.token("default", "nobody"))
    path = "/api/v1/namespaces/default/secrets/openai"
    assert 'Error from server (Forbidden): secrets "openai" is forbidden' in kubectl(config, "get", "--raw", path)[1]
    api.allow("system:serviceaccount:default:nobody", "get", "secrets", "default", "openai")
    assert 'Error from server (NotFound): secrets "openai" not found' in kubectl(config, "get", "--raw", path)[1]
    api.new_signing_key()
    assert "Unauthorized" in kubectl(config, "get", "--raw", path)[1]
