"""A reading of the advice, and what each reading has."""

from typing import NamedTuple

FIELDS = ("code", "level", "endpoint_id", "databases", "evidence_facts", "figure_facts", "step_facts")
# Versions without a known vulnerability.
SAFE = ("1.26",)
# What is not known of a PgBouncer: see `Case.gaps`.
NO_SOCKET = {("descriptors", "unix_socket")}
# Of one with pools that were not sampled for a day.
NEW = {("pool_full", "history")}
# Of one behind whose port there are several, whose clients may be Odoo's.
SHARED = {(rule, "processes") for rule in ("disabled_databases", "pool_mode_postgres", "postgres_missing")}
# PgBouncers without a server connection may lead to this PostgreSQL by another name.
NO_SERVERS = {("pools_exceed", "servers")}


class Advice(NamedTuple):
    """What was read.

    :param dict findings: name of an endpoint, or None -> list of records of findings
    :param dict gaps: the same -> code of the rule -> what it needs
    """

    findings: dict
    gaps: dict

    def levels(self, name=None):
        """Return code -> level of the findings about an endpoint."""
        return {finding["code"]: finding["level"] for finding in self.findings.get(name, [])}

    def gaps_of(self, name=None):
        """Return the rules that could not judge an endpoint, and what they need: (rule, need)."""
        return set(self.gaps.get(name, {}).items())


def expected(version, found):
    """Return what is found about a PgBouncer, with the vulnerabilities of its version."""
    return found | ({} if version in SAFE else {"vulnerable_version": "warning"})


def read(call, names):
    """Return the Advice of a new reading.

    :param call: a function: model, method, arguments -> result
    :param dict names: id of an endpoint -> its name
    """
    answer = call("connection.advice", "action_read")["params"]
    assert answer["type"] == "success", answer["message"]
    advice = Advice({}, {})
    for row in call("connection.advice", "search_read", [], FIELDS):
        name = names.get(row["endpoint_id"][0])
        if row["level"] == "unknown":
            for rule in row["evidence_facts"]["rules"]:
                advice.gaps.setdefault(name, {})[rule] = row["code"]
        else:
            advice.findings.setdefault(name, []).append(row)
    return advice
