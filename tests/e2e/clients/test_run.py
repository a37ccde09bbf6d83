"""`llmauth run`: every client as it is, with no other change, and the key that it was lent shown to no provider."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from textwrap import dedent

import pytest

from llmauth.demo import anthropic, openai
from llmauth.demo.certificates import Authority
from llmauth.demo.emulators import Emulators
from tests.e2e.clients.node_clients import FOLDER
from tests.e2e.clients.runs import run
from tests.e2e.clients.test_http_libraries import interpreter
from tests.fixtures.clouds import VERTEX_US
from tests.fixtures.serving import Serving
from tests.llmauth.demo.clients import interpreter as sdk_interpreter

MODELS = f"https://{openai.HOST}/v1/models"
SAYS = "Hello from the emulated"
BEDROCK = "bedrock-runtime.us-east-1.amazonaws.com"

SDKS = """
    import anthropic, boto3, httpx
    said = [{"role": "user", "content": "hi"}]
    print(anthropic.Anthropic().messages.create(model="claude-x", max_tokens=9, messages=said).content[0].text)
    asked = {"modelId": "amazon.nova-lite-v1:0", "messages": [{"role": "user", "content": [{"text": "hi"}]}]}
    print(boto3.client("bedrock-runtime").converse(**asked)["output"]["message"]["content"][0]["text"])
    print("httpx", httpx.get("https://api.openai.com/v1/models").status_code)
"""
OF_CLOUDS = """
    import requests
    from google import genai
    print("requests", requests.get("https://us-central1-aiplatform.googleapis.com/v1/x").status_code)
    client = genai.Client()
    print(client.models.generate_content(model="gemini-2.5-flash", contents="hi").text)
"""
FETCH = """
    const headers = {authorization: "Bearer " + process.env.OPENAI_API_KEY};
    const answer = await fetch("https://api.openai.com/v1/models", {headers});
    console.log("fetch", answer.status, (await answer.json()).data.length > 0);
    await fetch("https://stranger.example").catch((error) => console.log(error.cause.message));
    const https = await import("node:https");
    const told = (one) => console.log("https", one.statusCode, one.resume().statusCode);
    https.get("https://api.openai.com/v1/models", {headers}, told);
"""


def nothing_of_ours_arrived(emulators: Emulators) -> bool:
    """Whether providers were asked, and heard nothing of the caller's credential."""
    heads = [one.head for one in emulators.requests()]
    return bool(heads) and not any(b"llmauth_" in head or b"placeholder" in head for head in heads)


def test_anthropic_boto3_and_httpx(gateway: Serving, emulators: Emulators, tmp_path: Path) -> None:
    ran = run(gateway, tmp_path, str(sdk_interpreter()), "-W", "ignore", "-c", dedent(SDKS))
    assert ran.status == 0, ran.said
    assert ran.said.count(SAYS) == 2
    assert ran.said.endswith("httpx 200\n")
    assert {one.sni for one in emulators.requests()} == {openai.HOST, anthropic.HOST, BEDROCK}
    assert nothing_of_ours_arrived(emulators)


def test_requests_and_google_genai(clouds: Serving, emulators: Emulators, tmp_path: Path) -> None:
    """google-genai exchanges a placeholder at the token host that the gateway answers itself."""
    ran = run(clouds, tmp_path, str(interpreter()), "-W", "ignore", "-c", dedent(OF_CLOUDS))
    assert ran.status == 0, ran.said
    assert "requests 404" in ran.said
    assert SAYS in ran.said
    assert {one.sni for one in emulators.requests()} == {VERTEX_US}
    assert nothing_of_ours_arrived(emulators)


def test_the_transcript_of_the_first_minutes(gateway: Serving, emulators: Emulators, tmp_path: Path) -> None:
    """product.md 5.1: one line, no key in the shell, and nothing said but the answer."""
    script = 'from openai import OpenAI; print(OpenAI().responses.create(model="gpt-5-mini", input="hi").output_text)'
    folder = sdk_interpreter().parent
    ran = run(gateway, tmp_path, "python", "-c", script, PATH=f"{folder}:{os.environ['PATH']}")
    assert ran.status == 0, ran.said
    assert ran.said.startswith(SAYS)
    assert ran.said.count("\n") == 1


def test_node_without_a_proxy_agent(gateway: Serving, emulators: Emulators, tmp_path: Path) -> None:
    if shutil.which("node") is None:
        pytest.skip("there is no Node here")
    (tmp_path / "call.mjs").write_text(dedent(FETCH))
    ran = run(gateway, tmp_path, "node", str(tmp_path / "call.mjs"))
    assert ran.said.splitlines()[0] == "fetch 200 true", ran.said
    assert "https 200" in ran.said
    assert "The proxy refused the way to stranger.example:443 with status 403." in ran.said
    assert nothing_of_ours_arrived(emulators)


@pytest.mark.parametrize(("script", "host"), [("openai.mjs", openai.HOST), ("anthropic.mjs", anthropic.HOST)])
def test_the_node_sdks(gateway: Serving, emulators: Emulators, tmp_path: Path, script: str, host: str) -> None:
    if shutil.which("node") is None or not (FOLDER / "node_modules").exists():
        pytest.skip("Node or its clients are not here; scripts/install --clients-cloud brings the clients.")
    ran = run(gateway, tmp_path, "node", str(FOLDER / script))
    assert ran.status == 0, ran.said
    assert SAYS in ran.said
    assert {one.sni for one in emulators.requests()} == {host}
    assert nothing_of_ours_arrived(emulators)


@pytest.mark.parametrize("command", ["curl -sS", "wget -qO-"])
def test_tools_of_the_shell(gateway: Serving, emulators: Emulators, tmp_path: Path, command: str) -> None:
    if shutil.which(command.split()[0]) is None:
        pytest.skip("that tool is not here")
    ran = run(gateway, tmp_path, *command.split(), MODELS)
    assert ran.status == 0, ran.said
    assert '"gpt-4o"' in ran.said
    assert nothing_of_ours_arrived(emulators)


def test_java(gateway: Serving, emulators: Emulators, tmp_path: Path, java_programs: Path) -> None:
    """Neither of its clients sends a proxy's credentials before it is asked; the key stands in the provider's slot."""
    ran = run(gateway, tmp_path, "java", "-cp", str(java_programs), "Plain", MODELS)
    assert ran.status == 0, ran.said
    assert ran.said.endswith("HttpClient 200\nHttpURLConnection 200\n")
    assert "llmauth_" not in ran.said  # a JVM prints its options
    assert nothing_of_ours_arrived(emulators)


def test_a_base_url_for_what_knows_no_proxy(gateway: Serving, emulators: Emulators, tmp_path: Path) -> None:
    script = 'curl -sS --noproxy "*" "$OPENAI_BASE_URL/models" -H "Authorization: Bearer $OPENAI_API_KEY"'
    ran = run(gateway, tmp_path, "sh", "-c", script, options=("--base-url",))
    assert '"gpt-4o"' in ran.said
    assert nothing_of_ours_arrived(emulators)


# ---- git, through the egress policy --------------------------------------------------------------------------------


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *words: object) -> None: ...


@pytest.fixture
def git_server(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """A port on loopback with a repository on it, and the root that its certificate for git.example is signed by."""
    authority, pem, root = Authority.create(), tmp_path / "git.pem", tmp_path / "corporate-root.pem"
    pem.write_bytes(authority.issue(["git.example"]))
    root.write_bytes(authority.pem)
    repository = tmp_path / "served" / "a.git"
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example", "-C", str(repository)]
    subprocess.run(["git", "init", "-q", "-b", "main", str(repository)], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    subprocess.run([*git, "update-server-info"], check=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(tmp_path / "served")))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1], root
    server.shutdown()
    server.server_close()


def test_git_clones_through_the_egress_policy(
    serve: Callable[..., Serving], emulators: Emulators, git_server: tuple[int, Path], tmp_path: Path
) -> None:
    """The user's own root, which git is told by a variable, is still believed; the tunnel is one that nobody reads."""
    port, root = git_server
    resolve = {**emulators.resolve, "git.example": f"127.0.0.1:{port}"}
    gateway = serve(upstream={"resolve": resolve}, egress={"allow": ["git.example"]})
    copy = str(tmp_path / "copy")
    ran = run(gateway, tmp_path, "git", "clone", "-q", "https://git.example/a.git/.git", copy, GIT_SSL_CAINFO=str(root))
    assert ran.status == 0, ran.said
    assert (Path(copy) / ".git").is_dir()
    assert not any(line.get("status") == 407 for line in gateway.lines("request"))
