"""What is shipped for monitoring: every metric that is named exists, every query can be asked, every alert leads on."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from llmauth.telemetry.metrics import Metrics
from tests.fixtures.promtool import ALERTS, ROOT, names_in, promtool, rules
from tests.test_docs import click_command

DASHBOARD = ROOT / "deployments" / "monitoring" / "grafana-dashboard.json"
RUNBOOK = ROOT / "docs" / "ALERTS.md"
SEED = {
    "BedrockProxyDown": ('up{job="bedrock-proxy"} == 0', "1m", "Bedrock proxy is down"),
    "BedrockProxyHighErrorRate": (
        'rate(http_requests_total{status=~"5.."}[5m]) > 0.1',
        "2m",
        "High error rate in Bedrock proxy",
    ),
}
OF_PROMETHEUS = {"up"}


def dashboard() -> dict[str, Any]:
    read: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return read


def queries() -> list[str]:
    """Of every panel, with Grafana's own variables filled in."""
    asked = [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", ())]
    return [text.replace("$__rate_interval", "5m").replace("$job", "x").replace("$instance", ".*") for text in asked]


def series() -> set[str]:
    """Every name under which a sample can come."""
    found = set()
    for one in Metrics().described():
        parts = ("_bucket", "_sum", "_count") if one.kind == "histogram" else ("",)
        found |= {one.name + part for part in parts}
    return found


def labels() -> set[str]:
    return {label for one in Metrics().described() for label in one.labels}


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_metrics_that_exist(rule: dict[str, Any]) -> None:
    named = names_in(rule["expr"])
    assert named
    assert named - series() - OF_PROMETHEUS == set()


def test_the_dashboard_asks_for_metrics_that_exist() -> None:
    named = set().union(*map(names_in, queries()))
    assert named - series() - OF_PROMETHEUS == set()
    assert len(named) > 35


def test_the_dashboard_groups_by_labels_that_exist() -> None:
    groups = {
        label.strip()
        for text in queries()
        for found in re.findall(r"by \(([^)]*)\)", text)
        for label in found.split(",")
    }
    assert groups - labels() == {"le", "pod"}


def test_whoever_names_what_does_not_exist_is_found() -> None:
    """The reading of names is what the tests above stand on."""
    odd = 'sum by (le) (rate(nothing_bucket{a="b_c"}[5m])) / on (x) none_total > 3'
    assert names_in(odd) == {"nothing_bucket", "none_total"}


def test_the_dashboard_is_one_that_grafana_takes() -> None:
    read = dashboard()
    panels = read["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    rows = [panel["title"] for panel in panels if panel["type"] == "row"]
    wanted = ("Traffic", "Errors", "Tokens and money", "Where the time goes", "Credentials", "Limits")
    assert [row for row, start in zip(rows, wanted, strict=True) if not row.startswith(start)] == []
    places = [panel["gridPos"] for panel in panels]
    taken = [
        (x, y) for at in places for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) == 23
    assert {panel["datasource"]["uid"] for panel in panels if panel["type"] != "row"} == {"${datasource}"}
    assert {variable["name"] for variable in read["templating"]["list"]} == {"datasource", "job", "instance"}


@pytest.mark.parametrize("name", SEED)
def test_the_first_two_are_as_they_were_promised(name: str) -> None:
    (rule,) = [rule for rule in rules() if rule["alert"] == name]
    assert (rule["expr"], rule["for"], rule["annotations"]["summary"]) == SEED[name]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_tells_what_to_do(rule: dict[str, Any]) -> None:
    notes = rule["annotations"]
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert notes["summary"]
    command = re.search(r": `llmauth ([^`]+)`$", notes["description"].strip())
    assert command, "it does not end in a command"
    assert click_command(shlex.split(command[1]))
    page, _, anchor = notes["runbook_url"].partition("#")
    assert page == "docs/ALERTS.md"
    assert anchor == rule["alert"].lower()


def test_the_runbook_has_every_alert_and_no_other() -> None:
    text = RUNBOOK.read_text(encoding="utf-8")
    assert re.findall(r"(?m)^## (\w+)$", text) == [rule["alert"] for rule in rules()]
    for section in re.split(r"(?m)^## \w+$", text)[1:]:
        assert re.search(r"(?m)^\$ llmauth ", section), section


def test_promtool_takes_the_rules(tmp_path: Path) -> None:
    outcome = promtool("check", "rules", "--lint=all", "--lint-fatal", str(ALERTS))
    assert outcome.returncode == 0, outcome.stderr.decode()
    recorded = [{"record": f"q:{number}", "expr": text} for number, text in enumerate(queries())]
    file = tmp_path / "queries.yaml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": recorded}]}))  # which is YAML too
    outcome = promtool("check", "rules", str(file))
    assert outcome.returncode == 0, outcome.stderr.decode()
    assert f"{len(recorded)} rules found" in outcome.stdout.decode()
