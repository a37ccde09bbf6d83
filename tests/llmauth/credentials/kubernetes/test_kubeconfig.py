"""kubectl's configuration: which files, how they are joined, and what in them is refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from llmauth.credentials.kubernetes.kubeconfig import MAX_BYTES, context_of, paths
from llmauth.platform import SimulatedMachine, ThisMachine
from llmauth.sources import SourceFailed, SourceUnavailable
from tests.fixtures.kubernetes import written


def config(name: str = "one", **more: object) -> dict[str, object]:
    return {
        "current-context": name,
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "clusters": [{"name": name, "cluster": {"server": f"https://{name}"}}],
        "users": [{"name": name, "user": {"token": name}}],
        **more,
    }


@pytest.fixture
def machine(tmp_path):
    """A factory: one file for each configuration, named by KUBECONFIG."""

    def make(*configs: object) -> ThisMachine:
        files = []
        for number, one in enumerate(configs):
            (tmp_path / str(number)).mkdir()
            text = one if isinstance(one, str) else json.dumps(one)
            files.append(str(written(tmp_path / str(number) / "config", text)))
        return ThisMachine({"KUBECONFIG": os.pathsep.join(files)})

    return make


def test_where_it_is() -> None:
    assert paths({"HOME": "/h"}) == ["/h/.kube/config"]
    assert paths({"USERPROFILE": "/u"}) == ["/u/.kube/config"]
    assert paths({"HOME": "/h", "KUBECONFIG": f"/a{os.pathsep}{os.pathsep}/b"}) == ["/a", "/b"]
    assert paths({}) == []


def test_a_context(machine, tmp_path) -> None:
    found = context_of(machine(config()), None)
    assert (found.name, found.namespace) == ("one", None)
    assert found.cluster.fields == {"server": "https://one"}
    assert found.user.folder == tmp_path / "0"
    assert "token" not in repr(found)


def test_of_two_files_the_first_counts(machine, tmp_path) -> None:
    """As kubectl joins them: "the first file to set a particular value or map key wins"."""
    both = machine(config("one"), config("two", users=[{"name": "one", "user": {"token": "late"}}, {"name": "two"}]))
    assert context_of(both, None).name == "one"
    assert context_of(both, None).user.fields == {"token": "one"}
    assert context_of(both, "two").cluster.folder == tmp_path / "1"


KUBECTL = shutil.which("kubectl")


@pytest.mark.skipif(KUBECTL is None, reason="kubectl is not here to be compared with")
def test_files_are_joined_as_kubectl_joins_them(machine, tmp_path) -> None:
    late = config("one", contexts=[{"name": "one", "context": {"cluster": "two", "user": "two"}}])
    two = config("two", users=[{"name": "one", "user": {"token": "late"}}, {"name": "two", "user": {"token": "two"}}])
    there = machine({"clusters": [{"name": "two", "cluster": {"server": "https://zero"}}]}, config("one"), late, two)
    absent = f"{tmp_path}/absent{os.pathsep}{there.environ['KUBECONFIG']}"
    for name in ("one", "two"):
        command = [str(KUBECTL), "config", "view", "--raw", "--minify", "--context", name, "-o", "json"]
        environ = {"KUBECONFIG": absent, "PATH": os.environ["PATH"], "HOME": str(tmp_path)}
        said = json.loads(subprocess.run(command, env=environ, capture_output=True, check=True, timeout=20).stdout)
        ours = context_of(ThisMachine(environ), name)
        assert ours.cluster.fields["server"] == said["clusters"][0]["cluster"]["server"]
        assert ours.user.fields["token"] == said["users"][0]["user"]["token"]


def test_a_file_of_the_list_that_is_absent_is_passed_over(machine, tmp_path) -> None:
    there = machine(config())
    environ = {"KUBECONFIG": f"{tmp_path}/absent{os.pathsep}{there.environ['KUBECONFIG']}"}
    assert context_of(ThisMachine(environ), None).name == "one"


def test_a_namespace(machine) -> None:
    named = [{"name": "one", "context": {"cluster": "one", "user": "one", "namespace": "keys"}}]
    assert context_of(machine(config(contexts=named)), None).namespace == "keys"


def test_a_simulated_machine_has_its_own_file(tmp_path) -> None:
    assert context_of(SimulatedMachine({"HOME": "/h"}, {"/h/.kube/config": json.dumps(config())}), None).name == "one"
    real = str(written(tmp_path / "config", json.dumps(config())))
    with pytest.raises(SourceUnavailable, match="there is no kubeconfig"):
        context_of(SimulatedMachine({"KUBECONFIG": real}), None)


@pytest.mark.parametrize(
    ("content", "wanted", "told"),
    [
        ("", None, "has no current context"),
        ("{}", None, "has no current context"),
        (config(), "absent", "has no context absent"),
        (config(**{"current-context": "a b"}), None, r"has no context \?"),
    ],
)
def test_what_is_not_there(machine, content, wanted, told) -> None:
    with pytest.raises(SourceUnavailable, match=told):
        context_of(machine(content), wanted)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("a: [", "no YAML"),
        ("a: 1\na: 2", "no YAML"),
        ("a: !!python/object/apply:os.getcwd []", "no YAML"),
        ("a: !!bool canary-7f3a", "no YAML"),
        ("a: 2020-99-99", "no YAML"),
        ("- " * 5000, "no YAML"),
        ("a", "holds no mapping"),
        ("[a]", "holds no mapping"),
        ("current-context: 3", "current-context is no text"),
        ({"contexts": ["canary-7f3a"]}, "holds a context without a name"),
        ({"users": [{"name": 1}]}, "holds a user without a name"),
        (config(clusters=[]), "names no cluster of that file"),
        (config(users=None), "names no user of that file"),
        (config(contexts=[{"name": "one"}]), "names no cluster"),
        (config(contexts=[{"name": "one", "context": {"cluster": "one", "user": ["one"]}}]), "user is no text"),
        (
            config(contexts=[{"name": "one", "context": {"cluster": "one", "user": "one", "namespace": "a/b"}}]),
            "a namespace that cannot be one",
        ),
        ("#" * (MAX_BYTES + 1), "larger than"),
    ],
)
def test_what_does_not_hold_together(machine, content, told) -> None:
    with pytest.raises(SourceFailed, match=told) as caught:
        context_of(machine(content), None)
    assert "canary" not in caught.value.reason


def test_a_file_of_aliases_upon_aliases_stays_small(machine) -> None:
    lines = ["a0: &a0 [x, x]", *(f"a{n + 1}: &a{n + 1} [*a{n}, *a{n}]" for n in range(40)), "current-context: *a40"]
    with pytest.raises(SourceFailed, match="current-context is no text"):
        context_of(machine("\n".join(lines)), None)


def test_a_file_that_all_may_write_is_refused(machine) -> None:
    """Who can change it could have us use a key of theirs, and read what is asked with it."""
    one = machine(config())
    Path(one.environ["KUBECONFIG"]).chmod(0o666)
    with pytest.raises(SourceFailed, match="chmod o-w"):
        context_of(one, None)
