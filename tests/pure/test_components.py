"""Whose session it is, by its name, and what decided about that."""

import re

import pytest

from analysis import components

SESSION = {
    "component": "other",
    "application_name": "till",
    "backend_type": "client backend",
    "client_port": 40962,
    "server_count": None,
    "is_hidden": False,
}


@pytest.mark.parametrize(
    "name, component",
    [
        ("pg_dump", "backup"),
        ("pgBackRest [backup]", "backup"),
        ("walreceiver", "replication"),
        ("pgAdmin 4 - DB:shop", "interactive"),
        ("my psql-like thing", None),
        ("", None),
    ],
)
def test_programs(name, component):
    found = [known for known, pattern in components.PROGRAMS.items() if re.search(pattern, name, re.IGNORECASE)]
    assert found == ([component] if component else [])


@pytest.mark.parametrize(
    "name, app_name, is_odoo",
    [
        ("odoo-4711", "", True),
        ("odoo-4711", None, True),
        ("", "", True),
        (None, "", True),
        ("psql", "", False),
        ("my odoo-4711", "", False),
        ("shop.4711", "shop.{pid}", True),
        ("shop-4711", "shop.{pid}", False),
        ("shop-4711", "", False),
    ],
)
def test_names_of_clients(name, app_name, is_odoo):
    assert components.is_odoo_name(name, app_name) is is_odoo


def test_names_of_odoo():
    assert components.odoo_patterns("") == ["odoo-%"]
    assert components.odoo_patterns(None) == ["odoo-%"]
    assert components.odoo_patterns("shop_100%-{pid}") == ["odoo-%", r"shop\_100\%-%"]
    assert components.odoo_patterns("{pid}") == ["odoo-%"], "any name would match"


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"component": "pgbouncer", "server_count": 2}, "ambiguous"),
        ({"component": "pgbouncer", "server_count": 1, "is_hidden": True, "client_port": False}, "hidden_server"),
        ({"component": "pgbouncer", "server_count": 1, "client_port": -1}, "unix_server"),
        ({"component": "pgbouncer", "server_count": 1}, "server"),
        ({"component": "odoo_listener"}, "odoo_listener"),
        ({"component": "odoo_worker"}, "odoo_worker"),
        ({"component": "unknown"}, "unknown"),
        ({"application_name": ""}, "unnamed"),
        ({}, "named"),
        ({"component": "replication", "backend_type": "walsender"}, "walsender"),
        ({"component": "replication"}, "named"),
        ({"component": "backup"}, "named"),
        ({"component": False}, None),
    ],
)
def test_reason(changes, reason):
    assert components.reason(SESSION | changes) == reason
