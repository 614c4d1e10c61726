"""The flash sale, minute by minute."""

from stress.sale import by_minute, read_metrics

METRICS = """
# TYPE odoo_connection_pressure_ratio gauge
odoo_connection_pressure_ratio{endpoint="PostgreSQL of this Odoo",kind="postgresql"} 1.0
odoo_connection_pressure_ratio{endpoint="PgBouncer",kind="pgbouncer"} 0.1
# TYPE odoo_connection_level gauge
odoo_connection_level{endpoint="PostgreSQL of this Odoo",kind="postgresql"} 2
odoo_connection_level{endpoint="PgBouncer",kind="pgbouncer"} 0
# TYPE odoo_connection_open_alerts gauge
odoo_connection_open_alerts{endpoint="PostgreSQL of this Odoo",level="critical"} 2
odoo_connection_open_alerts{endpoint="PostgreSQL of this Odoo",level="warning"} 1
# TYPE odoo_connection_refused counter
odoo_connection_refused_total{host="shop",kind="slots_reserved"} 40
odoo_connection_refused_total{host="shop",kind="closed"} 2
"""


def test_metrics():
    assert read_metrics(METRICS) == {"pressure": 1, "level": "critical", "open_alerts": 3, "refused_total": 42}
    assert read_metrics("") == {"pressure": None, "level": None, "open_alerts": 0, "refused_total": 0}


def second(at, requests, failures):
    return {"at": at, "requests": requests, "failures": failures}


def scrape(at, refused_total, level="ok", open_alerts=0):
    return {"at": at, "refused_total": refused_total, "level": level, "open_alerts": open_alerts, "pressure": 1}


def test_minutes():
    direct = {"timeline": [second(601, 10, 0), second(659.9, 10, 4), second(660, 5, 5)]}
    pooled = {"timeline": [second(781, 20, 0)]}
    scrapes = [scrape(610, 3), scrape(650, 7, "critical", 1), scrape(661, None), scrape(785, 12)]
    messages = [{"at": 655, "text": "alert"}, {"at": 790, "text": "resolved"}]
    silent = {"refused": None, "level": None, "open_alerts": None, "messages": []}
    assert by_minute([direct, pooled], scrapes, messages) == [
        {"minute": 600, "requests": 20, "failures": 4, "refused": 4, "level": "critical", "open_alerts": 1}
        | {"messages": ["alert"]},
        {"minute": 660, "requests": 5, "failures": 5} | silent,
        {"minute": 720, "requests": 0, "failures": 0} | silent,
        {"minute": 780, "requests": 20, "failures": 0, "refused": 5, "level": "ok", "open_alerts": 0}
        | {"messages": ["resolved"]},
    ]
