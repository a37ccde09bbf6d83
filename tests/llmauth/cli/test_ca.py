"""`llmauth ca`: what goes to standard output, and when an authority is made."""

import json
import os

import pytest
from cryptography import x509

from llmauth.cli import main


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("LLMAUTH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("LLMAUTH_CONFIG", "KUBERNETES_SERVICE_HOST", "PROVIDER_INSTANCES_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "home" / "ca"


def test_show_makes_nothing(capsys, home):
    assert main(["ca", "show"]) == 1
    assert "No certificate authority yet" in capsys.readouterr().err
    assert not home.exists()


def test_export_makes_it_and_prints_the_certificate_alone(capsys, home):
    assert main(["ca", "export"]) == 0
    captured = capsys.readouterr()
    assert x509.load_pem_x509_certificate(captured.out.encode()).subject
    assert captured.out.startswith("-----BEGIN CERTIFICATE-----")
    assert captured.out.count("BEGIN") == 1
    assert captured.out == (home / "ca.pem").read_text()


def test_bundle_makes_it_and_prints_the_roots_with_it(capsys, home):
    assert main(["ca", "bundle"]) == 0
    output = capsys.readouterr().out
    assert output.endswith((home / "ca.pem").read_text())
    assert output.count("BEGIN CERTIFICATE") > 50
    assert "PRIVATE" not in output


def test_show(capsys, home):
    main(["ca", "export"])
    capsys.readouterr()
    assert main(["ca", "show", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["certificate"] == str(home / "ca.pem")
    assert facts["days_left"] == 364
    assert {"api.openai.com", "amazonaws.com", "googleapis.com"} <= set(facts["domains"])
    assert main(["ca", "show"]) == 0
    assert facts["sha256"] in capsys.readouterr().out


def test_rotate_prints_the_new_fingerprint_and_what_to_do(capsys, home):
    main(["ca", "export"])
    old = capsys.readouterr().out
    assert main(["ca", "rotate"]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "llmauth ca export" in captured.err
    assert main(["ca", "export"]) == 0
    assert capsys.readouterr().out != old
    assert len(os.listdir(home)) == 4


def test_a_pod_refuses_as_serve_would(capsys, home, monkeypatch):
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    for command in ("export", "bundle"):
        assert main(["ca", command]) == 1
        assert "may not make its own" in capsys.readouterr().err
    assert not home.exists()


def test_configured_hosts_are_covered(capsys, tmp_path):
    (tmp_path / "c.yaml").write_text("server: {gateway_hosts: [llm.internal]}\nca: {folder: mine}\n")
    assert main(["ca", "export", "--config", str(tmp_path / "c.yaml")]) == 0
    capsys.readouterr()
    assert main(["ca", "show", "--json", "--config", str(tmp_path / "c.yaml")]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["certificate"] == str(tmp_path / "mine" / "ca.pem")
    assert "llm.internal" in facts["domains"]


def test_a_bad_configuration_is_2(capsys, tmp_path):
    (tmp_path / "c.yaml").write_text("x: 1\n")
    assert main(["ca", "export", "--config", str(tmp_path / "c.yaml")]) == 2
    assert "unknown key" in capsys.readouterr().err
