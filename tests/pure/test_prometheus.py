"""The alert rules for Prometheus, compared with the addon's own, and the structure of the dashboards for Grafana."""

import itertools
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml

from analysis.metric_families import FAMILIES

ROOT = Path(__file__).parents[2]
RULES = yaml.safe_load((ROOT / "prometheus/rules.yml").read_text())
GROUPS = {group["name"]: group["rules"] for group in RULES["groups"]}
MIRRORED = GROUPS["pgbouncer_monitor"]
DASHBOARDS = {path.stem: json.loads(path.read_text()) for path in (ROOT / "grafana").glob("*.json")}
GRAFANA_VARIABLES = {"__rate_interval", "__url_time_range", "__value", "__data", "__all"}


def addon_rules():
    """Return rule -> its values in the addon's data, as numbers. The defaults are those of the model."""
    records = ET.parse(ROOT / "data/connection_rule_data.xml").iter("record")
    return {
        values.pop("rule"): {"samples": 1, "good_samples": 3} | {name: float(text) for name, text in values.items()}
        for values in ({field.get("name"): field.text for field in record} for record in records)
    }


def minutes(text):
    return int(re.fullmatch(r"(\d+)m", text)[1])


def test_thresholds_are_those_of_the_addon():
    expected = {}
    for name, rule in addon_rules().items():
        for severity in {"warning", "critical"} & rule.keys():
            # The samples of waiting clients are counted by "for".
            is_counted = name == "waiting_samples"
            threshold = 1 if is_counted else rule[severity]
            samples = rule[severity] if is_counted else rule["samples"]
            expected[name, severity] = threshold, samples - 1, rule["good_samples"] - 1
    found = {}
    for rule in MIRRORED:
        [threshold] = set(re.findall(r">= ([\d.]+)", rule["expr"]))
        held, kept = minutes(rule["for"]), minutes(rule.get("keep_firing_for", "0m"))
        found[rule["labels"]["rule"], rule["labels"]["severity"]] = float(threshold), held, kept
    assert found == expected
    assert len(MIRRORED) == len(found)


@pytest.mark.parametrize("rule", [*itertools.chain(*GROUPS.values())], ids=lambda rule: rule["alert"])
def test_alert_says_what_and_where(rule):
    assert rule["labels"]["severity"] in ("warning", "critical")
    assert rule["annotations"].keys() == {"summary", "description"}
    text = rule["annotations"]["description"]
    if "absent(" not in rule["expr"]:
        assert "$labels.endpoint" in text or "$labels.instance" in text
        assert "{{ $labels.job }}" in rule["annotations"]["summary"], "which of many Odoos"
    if "pgbouncer_pools" in rule["expr"] and "pgbouncer_databases" not in rule["expr"]:
        where = {"database"} if "without (instance, user)" in rule["expr"] else {"database", "user"}
        assert where <= set(re.findall(r"\$labels\.(\w+)", text))


def test_docs_explain_each_alert():
    text = (ROOT / "docs/prometheus.md").read_text()
    for rule in itertools.chain(*GROUPS.values()):
        assert f"`{rule['alert']}`" in text


def spelled_out(expression):
    """Yield the words of an expression. One with alternatives, like ``a_(b|c)_d``, is each of them."""
    for start, alternatives, end in re.findall(r"\b(\w+)(?:\(([\w|]+)\)(\w+))?", expression):
        yield from (start + middle + end for middle in alternatives.split("|"))


def test_series_exist_and_are_used():
    """Each series of a rule or dashboard is served, and each of the addon's own is in one of them."""
    texts = [rule["expr"] for rule in itertools.chain(*GROUPS.values())]
    for dashboard in DASHBOARDS.values():
        texts += [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
        texts += [variable["query"]["query"] for variable in dashboard["templating"]["list"][1:]]
    # Strings are values of labels, except regular expressions of names.
    texts = [re.sub(r'(?<!__name__=~)"[^"]*"', "", text) for text in texts]
    names = [name for text in texts for name in spelled_out(text)]
    used = {name for name in names if re.match("(odoo_connection|pgbouncer|pg)_", name)}
    assert used <= FAMILIES.keys()
    assert {name for name in FAMILIES if name.startswith("odoo_connection_")} <= used


def test_dashboards_are_different():
    assert len(DASHBOARDS) == 2
    for name in ("uid", "title"):
        assert len({dashboard[name] for dashboard in DASHBOARDS.values()}) == 2


@pytest.mark.parametrize("dashboard", DASHBOARDS.values(), ids=DASHBOARDS.keys())
class TestDashboard:
    def test_import(self, dashboard):
        """Grafana may import it: nothing refers to a data source or a panel of one Grafana."""
        assert re.fullmatch(r"[a-z-]{1,40}", dashboard["uid"]) and "id" not in dashboard
        assert dashboard["schemaVersion"] >= 36 and dashboard["title"] and dashboard["description"]
        [source, *others] = dashboard["templating"]["list"]
        assert (source["name"], source["type"], source["query"]) == ("datasource", "datasource", "prometheus")
        used = [variable["datasource"] for variable in others]
        for panel in dashboard["panels"]:
            used += [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
        assert all(value == {"type": "prometheus", "uid": "${datasource}"} for value in used)

    def test_panels(self, dashboard):
        panels = dashboard["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels)
        for panel in panels:
            assert panel["title"] and panel["description"]
            refs = [target["refId"] for target in panel["targets"]]
            assert refs and len(set(refs)) == len(refs)
            assert all(target["expr"] for target in panel["targets"])
            assert panel["type"] != "table" or all(target["format"] == "table" for target in panel["targets"])

    def test_grid(self, dashboard):
        cells = []
        for place in (panel["gridPos"] for panel in dashboard["panels"]):
            assert place["x"] + place["w"] <= 24
            rows, columns = range(place["y"], place["y"] + place["h"]), range(place["x"], place["x"] + place["w"])
            cells += itertools.product(rows, columns)
        assert len(set(cells)) == len(cells), "panels overlap"
        assert len(cells) == 24 * (max(row for row, _column in cells) + 1), "the grid has holes"

    def test_variables(self, dashboard):
        defined = {variable["name"] for variable in dashboard["templating"]["list"]}
        texts = json.dumps([dashboard["panels"], dashboard["templating"], dashboard["annotations"]])
        used = set(re.findall(r"\$\{?(\w+)", texts)) - GRAFANA_VARIABLES
        assert used == defined
        is_multi = {variable["name"]: variable["multi"] for variable in dashboard["templating"]["list"]}
        assert is_multi["job"] == is_multi["endpoint"], "one endpoint is that of one job: another may have its name"
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                assert 'job=~"$job"' in target["expr"]
                # Of Grafana's $__rate_interval. That of the panel is another one.
                assert "$__rate_interval" not in target["expr"] or target["interval"] == "1m"

    def test_links(self, dashboard):
        uids = {other["uid"] for other in DASHBOARDS.values()}
        assert set(re.findall(r'"/d/([a-z-]+)', json.dumps(dashboard))) <= uids

    def test_tables_name_what_they_show(self, dashboard):
        """Each value of a table has a column title, and each override names a column."""
        for panel in (panel for panel in dashboard["panels"] if panel["type"] == "table"):
            [organize] = [step["options"] for step in panel["transformations"] if step["id"] == "organize"]
            columns = organize["renameByName"]
            for target in panel["targets"]:
                value = f"Value #{target['refId']}"
                assert value in columns or value in organize["excludeByName"]
            assert {override["matcher"]["options"] for override in panel["fieldConfig"]["overrides"]} <= set(
                columns.values()
            )
