"""Official SDKs that ask their vendor for a token first, unchanged: no real secret, and no vendor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llmauth.demo.emulators import Emulators
from tests.e2e.clients import ways
from tests.e2e.clients.sdks import Sdks
from tests.fixtures.serving import Serving, provider_environment, start
from tests.llmauth.demo.clients import ClientProblem, cloud_interpreter

TOKEN_HOSTS = {
    "iam.cloud.ibm.com",
    "oauth2.googleapis.com",
    "sts.googleapis.com",
    "iamcredentials.googleapis.com",
    "login.microsoftonline.com",
    "sts.us-east-1.amazonaws.com",
    "sts.amazonaws.com",
}
INSTANCES = {
    "bedrock": {"type": "bedrock", "region": "us-east-1"},
    "ibm": {"type": "ibm"},
    "vertex": {"type": "vertex", "region": "us-central1"},
    "azure": {"type": "azure", "base_url": "https://demo-us.openai.azure.com"},
}
TENANT = "00000000-0000-0000-0000-000000000001"


@pytest.fixture(scope="module")
def sdks() -> Iterator[Sdks]:
    modules = ("boto3", "openai", "google.genai", "google.oauth2.service_account", "google.auth.transport.requests")
    sdks = Sdks(cloud_interpreter(), *modules, "azure.identity", "ibm_watsonx_ai")
    yield sdks
    sdks.close()


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory, shared_emulators: Emulators) -> Iterator[Serving]:
    """A gateway with credentials of its own for all of them."""
    credentials = shared_emulators.credentials
    environ = {
        **provider_environment(shared_emulators),
        "AZURE_OPENAI_API_KEY": credentials.azure_key,
        "GOOGLE_OAUTH_ACCESS_TOKEN": credentials.google_token,
        "WATSONX_APIKEY": credentials.ibm_api_key,
    }
    folder = tmp_path_factory.mktemp("exchanges")
    serving = start(folder, shared_emulators, environ=environ, instances=INSTANCES)
    serving.key()
    yield serving
    serving.stop()


@pytest.fixture
def provider(emulators: Emulators, door: Serving) -> Iterator[Emulators]:
    """The emulators, which must see no call of a client to a token host, and no key or token of ours anywhere."""
    yield emulators
    for sent in emulators.requests():
        assert door.key().encode() not in sent.head + sent.body
        assert b"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6" not in sent.head + sent.body
        # The gateway's own exchange for its own IBM key is the one call that such a host gets.
        own = emulators.credentials.ibm_api_key.encode() in sent.body
        assert sent.host not in TOKEN_HOSTS or own


def in_the_proxy(door: Serving, **more: str) -> dict[str, str]:
    return {**ways.key_in_the_proxy(door), "WX_CLIENT_VERIFY_REQUESTS": str(door.bundle), **more}


def in_the_sdk(door: Serving, **more: str) -> dict[str, str]:
    return {**ways.key_in_the_sdk(door), "WX_CLIENT_VERIFY_REQUESTS": str(door.bundle), **more}


# ---- AWS -----------------------------------------------------------------------------------------------------------

CONVERSE = """
model = "anthropic.claude-3-sonnet-20240229-v1:0"
turns = [{"role": "user", "content": [{"text": "hello"}]}]
said = boto3.client("bedrock-runtime").converse(modelId=model, messages=turns)
arn = boto3.client("sts").get_caller_identity()["Arn"]
result = [said["output"]["message"]["content"][0]["text"], arn]
"""


@pytest.fixture
def pod(tmp_path: Path) -> dict[str, str]:
    """What EKS gives to a pod with a role of its own."""
    file = tmp_path / "token"
    file.write_text("eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJzdHMuYW1hem9uYXdzLmNvbSJ9.c2lnbmF0dXJl")
    return {
        "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/app",
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(file),
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def test_boto3_with_a_web_identity(door: Serving, provider: Emulators, sdks: Sdks, pod: dict[str, str]) -> None:
    said, arn = sdks.run(CONVERSE, in_the_proxy(door, **pod))
    assert said.startswith("Hello from the emulated")
    assert arn == "arn:aws:sts::000000000000:assumed-role/llmauth/test"
    # The gateway's own exchange of IBM's key may fall into the same moment.
    called = [sent.host for sent in provider.requests() if sent.host != "iam.cloud.ibm.com"]
    assert called == ["bedrock-runtime.us-east-1.amazonaws.com"]


def test_boto3_of_nobody(door: Serving, provider: Emulators, sdks: Sdks, pod: dict[str, str]) -> None:
    """A web identity is AWS's to judge: it lets nobody in here."""
    with pytest.raises(ClientProblem) as caught:
        sdks.run(CONVERSE, in_the_sdk(door, **pod))
    assert (caught.value.status, "InvalidClientTokenId" in caught.value.message) == (401, True)
    assert provider.requests() == ()


def test_boto3_reads_our_refusals(door: Serving, provider: Emulators, sdks: Sdks, pod: dict[str, str]) -> None:
    code = "result = boto3.client('sts').get_federation_token(Name='somebody')"
    with pytest.raises(ClientProblem) as caught:
        sdks.run(code, in_the_proxy(door, **pod))
    assert caught.value.status == 400
    assert "ValidationError" in caught.value.message
    assert "GetCallerIdentity" in caught.value.message


# ---- Google --------------------------------------------------------------------------------------------------------

ACCOUNT = """
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

made = rsa.generate_private_key(65537, 2048)
form = serialization.PrivateFormat.PKCS8
pem = made.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()
account = {
    "type": "service_account",
    "project_id": "project-1",
    "client_email": "app@project-1.iam.gserviceaccount.com",
    "private_key_id": "placeholder",
    "private_key": pem,
    "token_uri": "https://oauth2.googleapis.com/token",
}
scopes = ["https://www.googleapis.com/auth/cloud-platform"]
"""
GENERATE = """
client = genai.Client(vertexai=True, project="demo-project", location="us-central1", credentials=credentials)
result = client.models.generate_content(model="gemini-2.5-flash", contents="hello").text
"""


def test_a_service_account_with_a_key_of_its_own(door: Serving, provider: Emulators, sdks: Sdks) -> None:
    made = "credentials = service_account.Credentials.from_service_account_info(account, scopes=scopes)\n"
    assert "emulated" in sdks.run(ACCOUNT + made + GENERATE, in_the_proxy(door))
    assert [sent.host for sent in provider.requests()] == ["us-central1-aiplatform.googleapis.com"]


def test_an_identity_token_of_a_service_account(door: Serving, provider: Emulators, sdks: Sdks) -> None:
    code = """
    credentials = service_account.IDTokenCredentials.from_service_account_info(account, target_audience="https://a")
    credentials.refresh(requests.Request())
    result = credentials.valid
    """
    assert sdks.run(ACCOUNT + dedented(code), in_the_proxy(door)) is True


def test_an_identity_of_another_cloud_that_becomes_a_service_account(
    door: Serving, provider: Emulators, sdks: Sdks, pod: dict[str, str]
) -> None:
    made = """
from google.auth import identity_pool
account = "app@project-1.iam.gserviceaccount.com"
credentials = identity_pool.Credentials.from_info(
    {
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/p",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": "https://sts.googleapis.com/v1/token",
        "credential_source": {"file": file},
        "service_account_impersonation_url":
            f"https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{account}:generateAccessToken",
    },
    scopes=["https://www.googleapis.com/auth/cloud-platform"],
)
"""
    said = sdks.run(made + GENERATE, in_the_proxy(door), file=pod["AWS_WEB_IDENTITY_TOKEN_FILE"])
    assert "emulated" in said
    assert [sent.host for sent in provider.requests()] == ["us-central1-aiplatform.googleapis.com"]


def test_a_key_in_the_place_of_a_users_refresh_token(door: Serving, provider: Emulators, sdks: Sdks) -> None:
    """No proxy password: the token alone says who calls Vertex."""
    made = """
from google.oauth2.credentials import Credentials
uri = "https://oauth2.googleapis.com/token"
credentials = Credentials(None, refresh_token=key, client_id="app", client_secret="unused", token_uri=uri)
"""
    assert "emulated" in sdks.run(made + GENERATE, in_the_sdk(door), key=door.key())
    with pytest.raises(ClientProblem) as caught:
        sdks.run(made + GENERATE, in_the_sdk(door), key="1//placeholder")
    assert caught.value.kind == "RefreshError"
    assert "invalid_client" in caught.value.message


# ---- Entra ---------------------------------------------------------------------------------------------------------

CHAT = """
scope = "https://cognitiveservices.azure.com/.default"
provide = identity.get_bearer_token_provider(credential, scope)
client = openai.AzureOpenAI(
    azure_endpoint="https://demo-us.openai.azure.com",
    api_version="2024-10-21",
    azure_ad_token_provider=provide,
    max_retries=0,
)
turns = [{"role": "user", "content": "hello"}]
result = client.chat.completions.create(model="chat-4o", messages=turns).choices[0].message.content
"""
CREDENTIALS = {
    "a client secret": f"credential = identity.ClientSecretCredential('{TENANT}', 'app', 'placeholder')\n",
    "a federated token": f"credential = identity.ClientAssertionCredential('{TENANT}', 'app', lambda: 'theirs')\n",
}


@pytest.mark.parametrize("made", CREDENTIALS.values(), ids=CREDENTIALS)
def test_azure_identity(door: Serving, provider: Emulators, sdks: Sdks, made: str) -> None:
    assert "emulated" in sdks.run(made + CHAT, in_the_proxy(door))
    assert [sent.host for sent in provider.requests()] == ["demo-us.openai.azure.com"]


def test_azure_identity_of_nobody(door: Serving, provider: Emulators, sdks: Sdks) -> None:
    with pytest.raises(ClientProblem) as caught:
        sdks.run(CREDENTIALS["a client secret"] + CHAT, in_the_sdk(door))
    assert caught.value.kind == "ClientAuthenticationError"
    assert provider.requests() == ()


# ---- IBM -----------------------------------------------------------------------------------------------------------

WATSONX = """
import os
client = ibm_watsonx_ai.APIClient(
    ibm_watsonx_ai.Credentials(url="https://us-south.ml.cloud.ibm.com", api_key=key),
    verify=os.environ["SSL_CERT_FILE"],
)
from ibm_watsonx_ai.foundation_models import ModelInference
model = ModelInference(
    model_id="ibm/granite-4-h-small",
    api_client=client,
    project_id="11111111-1111-1111-1111-111111111111",
    validate=False,
)
result = model.chat([{"role": "user", "content": "hello"}])["choices"][0]["message"]["content"]
"""
WAYS: dict[str, Callable[[Serving], tuple[dict[str, str], str]]] = {
    "the key in the proxy URL": lambda door: (in_the_proxy(door), "placeholder"),
    "the key as IBM's": lambda door: (in_the_sdk(door), door.key()),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_watsonx(
    door: Serving, provider: Emulators, sdks: Sdks, way: Callable[[Serving], tuple[dict[str, str], Any]]
) -> None:
    environ, key = way(door)
    assert sdks.run(WATSONX, environ, key=key)
    assert any(sent.host == "us-south.ml.cloud.ibm.com" for sent in provider.requests())


def test_watsonx_of_nobody(door: Serving, provider: Emulators, sdks: Sdks) -> None:
    with pytest.raises(ClientProblem) as caught:
        sdks.run(WATSONX, in_the_sdk(door), key="placeholder")
    assert "not valid" in caught.value.message


def dedented(code: str) -> str:
    return "\n".join(line.strip() for line in code.splitlines())
