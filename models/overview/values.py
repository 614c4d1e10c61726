"""How the Overview shows values: links, levels, ages and pools. Plain functions; they read no server."""

from odoo import fields

from ...analysis import pressure
from ...tools import format_duration


def link(model, domain, label):
    """Return what a number on the page opens: the rows of a list that it counts.

    :param list domain: of these rows
    :param str label: of the filter
    """
    return {"model": model, "domain": domain, "label": label}


def rule_level(value, rule):
    """Return the level of a value; None if the rule is off.

    :param incidents.Rule rule: None if it is off
    """
    return pressure.level(value, rule.thresholds) if rule else None


def format_age(env, time):
    """Return how long ago a time was, with units; None if there is no time."""
    return format_duration(env, max((fields.Datetime.now() - time).total_seconds(), 0)) if time else None


def format_seconds(env, seconds):
    """Return seconds with their unit; None if they are unknown: None, or False in a field."""
    is_known = seconds is not None and seconds is not False
    return env["connection.rule"]._format_value("maxwait", seconds) if is_known else None


def pool_rows(rows):
    """Return those rows of a sample that are pools: not the instance, nor a database."""
    return [row for row in rows if row.get("user")]


def pool_name(row):
    """Return the name of a pool.

    :param dict row: a row of a sample
    """
    return f"{row['database']}/{row['user']}"


def pool_id(env, endpoint, row):
    """Return the id of a pool in `pgbouncer.pool`."""
    return env["pgbouncer.pool"]._row_id(endpoint.id, row["database"], row["user"])


def pool_values(endpoint, row):
    """Return what the page shows of a pool: figures, texts with units, and links.

    :param dict row: a row of a sample of the endpoint
    """
    env, bottleneck, name = endpoint.env, row["bottleneck"], pool_name(row)
    of_pool = [("pool_id", "=", pool_id(env, endpoint, row))]
    waiting, active = [*of_pool, ("state", "=", "waiting")], [*of_pool, ("state", "=", "active")]
    return {
        "id": pool_id(env, endpoint, row),
        "name": name,
        "endpoint": endpoint.name,
        "used": row["used"],
        "capacity": row["capacity"],
        "pressure": row["pressure"],
        "waiting": row["waiting"],
        "maxwait": format_seconds(env, row["maxwait"]),
        "bottleneck": bottleneck and env["pgbouncer.pool"]._explain_bottleneck(bottleneck),
        "clients_link": link("pgbouncer.client", waiting, env._("Waiting in %s", name)),
        "servers_link": link("pgbouncer.server", active, env._("In use: %s", name)),
    }
