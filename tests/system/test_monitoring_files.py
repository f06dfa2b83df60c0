"""The table of metrics, the alert rules and the dashboard, held against what the exporter gives."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

import yaml  # type: ignore[import-untyped, unused-ignore]
from prometheus_client import ProcessCollector
from prometheus_client.metrics import MetricWrapperBase

from protokeep.metrics import Metrics
from protokeep.service.gauges import GAUGES
from system.test_documentation import DOCS, ROOT, first_words, rows

ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yaml"
DASHBOARD = ROOT / "deploy" / "grafana" / "protokeep.json"
#: Labels that Prometheus adds by itself.
ADDED = {"instance", "job"}
#: The name of a metric and what stands in braces behind it.
SELECTED = re.compile(r"\b((?:protokeep|process)_\w+)(?:\{([^}]*)\})?")


def exported() -> Mapping[str, tuple[str, set[str]]]:
    """Each family that the exporter gives: its type, and the names of its labels."""
    found = {
        name: ("counter" if name.endswith("_total") else "gauge", set(labels)) for name, (_, labels) in GAUGES.items()
    }
    for collector in vars(Metrics()).values():
        if not isinstance(collector, MetricWrapperBase):
            continue
        (family,) = collector.collect()
        name = family.name + ("_total" if family.type == "counter" else "")
        found[name] = (family.type, set(collector._labelnames))
    for family in ProcessCollector(registry=None).collect():
        found[family.name + ("_total" if family.type == "counter" else "")] = ("", set())
    return found


def sampled() -> Mapping[str, set[str]]:
    """Each name that an expression may have, and its labels: a histogram has three names."""
    names: dict[str, set[str]] = {}
    for name, (kind, labels) in exported().items():
        if kind == "histogram":
            names |= {f"{name}_bucket": labels | {"le"}, f"{name}_sum": labels, f"{name}_count": labels}
        else:
            names[name] = labels
    return names


def faults_of(expression: str) -> list[str]:
    """The names in an expression, of metrics and of labels, that the exporter does not give."""
    known = sampled()
    used: set[str] = set()
    faults = []
    for name, selectors in SELECTED.findall(expression):
        labels = known.get(name)
        if labels is None:
            faults.append(name)
            continue
        used |= labels
        faults += [label for label in re.findall(r"(\w+)\s*[=!]~?", selectors) if label not in labels | ADDED]
    grouped = [label.strip() for group in re.findall(r"\bby \(([^)]*)\)", expression) for label in group.split(",")]
    return faults + [label for label in grouped if label not in used | ADDED]


def test_every_metric_is_in_the_operations_page() -> None:
    """
    The table of metrics names each of them with its type and its labels, and none that is gone.
    """
    documented = {
        name: (cells[1], set(re.findall(r"`(\w+)`", cells[2])))
        for cells in rows(DOCS / "operations.md", "Metrics")
        if not cells[0].startswith("`Protokeep")
        for name in re.findall(r"`(\w+)`", cells[0])
    }

    assert documented == exported()


def test_every_alert_asks_for_metrics_that_there_are_and_says_what_to_do() -> None:
    """
    The rules use names and labels of the exporter, and each rule has its row in the operations page.
    """
    alerts = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]

    assert {rule["alert"]: faults for rule in alerts if (faults := faults_of(rule["expr"]))} == {}
    assert all(SELECTED.search(rule["expr"]) and rule["annotations"]["summary"] for rule in alerts)
    assert [rule["alert"] for rule in alerts] == first_words_of_alerts()


def first_words_of_alerts() -> list[str]:
    """The alerts with a row in the operations page, in its order."""
    return [word for word in first_words(DOCS / "operations.md", "Metrics") if word.startswith("Protokeep")]


def test_the_dashboard_shows_metrics_that_there_are() -> None:
    """
    Every panel asks for names and labels of the exporter, and no two panels lie on each other.
    """
    panels = json.loads(DASHBOARD.read_text())["panels"]
    expressions = {panel["title"]: [target["expr"] for target in panel["targets"]] for panel in panels}
    places = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]

    faults = {title: [fault for each in asked for fault in faults_of(each)] for title, asked in expressions.items()}
    assert {title: found for title, found in faults.items() if found} == {}
    assert len(places) == len(set(places))


def test_a_name_that_is_not_exported_is_noticed() -> None:
    """
    The check of expressions sees metrics and labels that there are not.
    """
    assert faults_of('sum by (shop, task) (rate(protokeep_job_runs_total{state="x"}[5m])) / protokeep_gone') == [
        "state",
        "protokeep_gone",
        "shop",
    ]
