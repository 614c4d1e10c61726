"""A Prometheus that scrapes an Odoo with the files of prometheus/."""

import yaml

from servers import CHECKOUT, Prometheus, free_port


def shipped(name):
    """Return a file of prometheus/."""
    return yaml.safe_load((CHECKOUT / "prometheus" / name).read_text())


def new_prometheus(folder, url, key, rules, every):
    """Return a Prometheus that scrapes an Odoo by the job that is shipped. It is not started.

    :param str url: of the Odoo
    :param str key: an API key
    :param dict rules: the content of its file of rules
    :param str every: the intervals of scrapes and evaluations, for example "1s"
    """
    prometheus = Prometheus(folder, free_port(), "")
    [job] = shipped("scrape.yml")["scrape_configs"]
    job |= {"scheme": "http", "scrape_interval": every}
    job["authorization"]["credentials_file"] = str(prometheus.write("key", key))
    # The mixin's dashboards select a cluster.
    job["static_configs"] = [{"targets": [url.removeprefix("http://")], "labels": {"pgbouncer_cluster": "test"}}]
    configuration = {
        "global": {"evaluation_interval": every},
        "scrape_configs": [job],
        "rule_files": [str(prometheus.write("rules.yml", yaml.safe_dump(rules)))],
    }
    prometheus.configuration = yaml.safe_dump(configuration)
    return prometheus
