"""Values that depend on which instances there are: Google's, Azure's, and those of a proxy over TLS."""

from __future__ import annotations

from llmauth.clients.served import ServedInstance
from llmauth.clients.trust import TrustFiles
from llmauth.clients.values import Ambient
from tests.llmauth.clients.conftest import Made

VERTEX = ServedInstance(
    name="v", provider="vertex", hosts=("us-central1-aiplatform.googleapis.com",), region="us-central1", project="p-1"
)
AZURE = ServedInstance(name="az", provider="azure", hosts=("mine.openai.azure.com",))


def test_google_genai_finds_all_that_it_insists_on(made: Made, trust: TrustFiles) -> None:
    child = made(instances=(VERTEX,))
    wanted = {
        "GOOGLE_GENAI_USE_VERTEXAI": "true",
        "GOOGLE_CLOUD_PROJECT": "p-1",
        "GOOGLE_CLOUD_LOCATION": "us-central1",
        "GOOGLE_APPLICATION_CREDENTIALS": str(trust.google),
    }
    assert wanted.items() <= child.items()


def test_what_the_user_has_chosen_at_google_stays(made: Made) -> None:
    mine = {"GEMINI_API_KEY": "mine", "GOOGLE_CLOUD_PROJECT": "mine-1"}
    child = made(mine, instances=(VERTEX,), ambient=Ambient(google=True))
    assert mine.items() <= child.items()
    assert not {"GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_APPLICATION_CREDENTIALS"} & child.keys()


def test_azure_is_told_its_resource(made: Made) -> None:
    assert made(instances=(AZURE,))["AZURE_OPENAI_ENDPOINT"] == "https://mine.openai.azure.com"
    mine = {"AZURE_OPENAI_ENDPOINT": "https://other.openai.azure.com"}
    assert made(mine, instances=(AZURE,))["AZURE_OPENAI_ENDPOINT"] == mine["AZURE_OPENAI_ENDPOINT"]


def test_git_believes_a_proxy_over_tls(made: Made, trust: TrustFiles) -> None:
    assert made(url="https://proxy.corp:8443")["GIT_PROXY_SSL_CAINFO"] == str(trust.bundle)
    assert "GIT_PROXY_SSL_CAINFO" not in made()
