"""The expressions of the rules and the dashboards, and clients that hold servers or wait for one."""

import contextlib
import json
import re
import time
from contextlib import closing, contextmanager
from functools import partial

import psycopg2

from probes import query
from scraping import shipped
from servers import CHECKOUT, LOCALHOST

# What Grafana replaces. Its interval of a rate is four times that of the scrapes, here 4 s for 1 s.
GRAFANA = {"$job": ".*", "$database": ".*", "$__rate_interval": "4s"}
COMPARISON = re.compile(r" (?:>=|>|==) [\d.]+")


def scaled(rules):
    """Return the rules with seconds for minutes: what they wait for is the same, and the test does not wait long."""
    for group in rules["groups"]:
        for rule in group["rules"]:
            for name in {"for", "keep_firing_for"} & rule.keys():
                rule[name] = rule[name].replace("m", "s")
    return rules


def dashboards(endpoint):
    """Yield the name of each dashboard, the dashboard, and a function that replaces the variables of an expression as
    Grafana does: one endpoint where only one can be selected, otherwise all."""
    for path in sorted((CHECKOUT / "grafana").glob("*.json")):
        dashboard = json.loads(path.read_text())
        [variable] = [variable for variable in dashboard["templating"]["list"] if variable["name"] == "endpoint"]
        values = GRAFANA | {"$endpoint": ".*" if variable["multi"] else endpoint}
        pattern = re.compile("|".join(map(re.escape, values)))
        yield path.stem, dashboard, partial(pattern.sub, lambda match, values=values: values[match[0]])


def dashboard_expressions(endpoint):
    """Yield the title of each panel, and each of its expressions as Grafana sends it."""
    for name, dashboard, grafana in dashboards(endpoint):
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                yield f"{name}: {panel['title']}", grafana(target["expr"])
        for variable in dashboard["templating"]["list"][1:]:
            series, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"]).groups()
            yield f"{name}: {variable['name']}", grafana(f"count by ({label}) ({series})")


def panels_of_values(endpoint):
    """Yield the title of each panel that shows values of this moment, no graph, and its expressions."""
    for name, dashboard, grafana in dashboards(endpoint):
        for panel in dashboard["panels"]:
            if all(target.get("instant") for target in panel["targets"]):
                yield f"{name}: {panel['title']}", [grafana(target["expr"]) for target in panel["targets"]]


def rule_expressions():
    """Yield the name of each alert, and each part of its expression without the comparison, that is the value that is
    compared, of all series.

    ``a or b`` has two parts. ``absent(a)`` has none, and ``a unless b`` is ``a``. The comparison of two series becomes
    their difference.
    """
    for rule in (rule for group in shipped("rules.yml")["groups"] for rule in group["rules"]):
        for part in rule["expr"].split("\nunless ")[0].split("\nor "):
            if not part.startswith("absent("):
                yield rule["alert"], COMPARISON.sub("", part).replace("\n> on (", "\n- on (")


@contextmanager
def clients(server, database, holding=0, waiting=0, **login):
    """Hold servers of a pool with this number of clients, and let others wait for one."""
    address = {"host": LOCALHOST, "port": server.port, "dbname": database} | login
    with contextlib.ExitStack() as stack:
        for _number in range(holding):
            client = stack.enter_context(closing(psycopg2.connect(connect_timeout=5, **address)))
            client.cursor().execute("SELECT 1")
        for _number in range(waiting):
            client = stack.enter_context(closing(psycopg2.connect(async_=True, **address)))
            query.wait(client, time.monotonic() + 5)
            client.cursor().execute("SELECT 1")
        yield
