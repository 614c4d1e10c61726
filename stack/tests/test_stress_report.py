"""The report of the stress test: made-up figures -> verdicts, pages, docs. Without servers."""

import json
import re
import socket
from contextlib import closing

import pytest

from servers import CHECKOUT, LOCALHOST, free_port
from stress import claims, publish, raw, report, results
from stress.blocks import Heading, Table, Text, page_html, page_markdown
from stress_figures import make_figures

DOCS = CHECKOUT / "docs"
README_SECTION = "\n## What pooling gains, and what it does not\n"


# Each picture of one plan: to draw all of them takes seconds.
PLAN = [(0, True)]


def verdicts(figures):
    return {claim.said: finding.verdict for claim, finding in claims.judge(figures)}


def verdict(figures, beginning):
    """Return the verdict on the claim that begins like this."""
    [found] = [verdict for said, verdict in verdicts(figures).items() if said.startswith(beginning)]
    return found


def runs(figures, side):
    return [run for run in figures["matrix"] if run["side"] == side]


def keep_less(figures):
    for run in runs(figures, "pooled"):
        run["cpu"] = {"postgresql": 0.1, "pgbouncer": 0.05, "odoo": 9.0}
        run["memory"] = {"postgresql": 1}
        run["backends"] = 5


def lose_clients(figures):
    figures["raw"]["at_once"][-1]["served"] -= 1


def serve_all(figures):
    for row in figures["raw"]["at_once"]:
        row["served"] = row["clients"]


def end_storm_equal(figures):
    for row in figures["raw"]["storm"]:
        row["tps"] = 100


def fail_when_full(figures):
    for run in runs(figures, "direct"):
        run["failures"] = {"no database": run["requests"] / 10}
        run["p95"] = None


def fail_sometimes(figures):
    run = next(run for run in runs(figures, "direct") if run["backends"] > 90)
    run["failures"] = {"no database": run["requests"] / 10}


def sample_wrongly(figures):
    for run in figures["matrix"]:
        run["samples"]["used_max"] = 50


def fail_in_the_sale(figures):
    figures["sale"]["phases"][1]["failures"] = {"timeout": 1}


def post_late(figures):
    minutes = figures["sale"]["minutes"]
    minutes[4]["messages"], minutes[1]["messages"] = minutes[1]["messages"], []


def post_no_end(figures):
    figures["sale"]["minutes"][5]["messages"] = []


def resolve_early(figures):
    minutes = figures["sale"]["minutes"]
    minutes[0]["messages"], minutes[5]["messages"] = minutes[5]["messages"], []


def lose_the_log(figures):
    figures["sale"]["phases"][1]["refused"] = None


def sell_without_pressure(figures):
    figures["sale"]["phases"][0]["failures"] = {}


HELD, PARTLY, NOT_HELD, UNKNOWN = claims.HELD, claims.PARTLY, claims.NOT_HELD, claims.UNKNOWN


@pytest.mark.parametrize(
    "claim, expected, change, expected_then",
    [
        ("PgBouncer serves 5,000", HELD, lose_clients, NOT_HELD),
        ("PgBouncer serves 5,000", HELD, serve_all, NOT_HELD),
        ("PostgreSQL's CPU", NOT_HELD, keep_less, HELD),
        ("PostgreSQL has fewer", PARTLY, keep_less, HELD),
        ("PostgreSQL needs less", NOT_HELD, keep_less, HELD),
        ("Short connections", HELD, end_storm_equal, NOT_HELD),
        ("Pooling costs nothing", NOT_HELD, end_storm_equal, HELD),
        ("When connections run out", NOT_HELD, fail_when_full, HELD),
        ("When connections run out", NOT_HELD, fail_sometimes, NOT_HELD),
        ("The addon's samples", PARTLY, sample_wrongly, NOT_HELD),
        ("In a flash sale", HELD, fail_in_the_sale, NOT_HELD),
        ("In a flash sale", HELD, sell_without_pressure, NOT_HELD),
        ("In a flash sale", HELD, lose_the_log, UNKNOWN),
        ("The chatter", HELD, post_late, NOT_HELD),
        ("The chatter", HELD, post_no_end, NOT_HELD),
        ("The chatter", HELD, resolve_early, NOT_HELD),
    ],
)
def test_verdicts(claim, expected, change, expected_then):
    figures = make_figures()
    assert verdict(figures, claim) == expected
    change(figures)
    assert verdict(figures, claim) == expected_then


def test_a_claim_about_every_odoo_does_not_hold_in_part():
    figures = make_figures()
    assert verdict(figures, "Pooling makes every Odoo faster") == NOT_HELD
    assert verdict(figures, "Pages arrive sooner") == PARTLY
    for run in runs(figures, "pooled"):
        run["rps"] *= 2
    assert verdict(figures, "Pooling makes every Odoo faster") == HELD
    # It is about every kind.
    figures["matrix"] = [run for run in figures["matrix"] if not run["workers"]]
    assert verdict(figures, "Pooling makes every Odoo faster") == UNKNOWN


def test_a_claim_does_not_hold_if_a_turn_shows_the_opposite():
    figures = make_figures(plans=PLAN)
    assert verdict(figures, "Pages arrive sooner") == HELD
    [*_others, run] = runs(figures, "pooled")
    run["p95"] = 1.1
    assert verdict(figures, "Pages arrive sooner") == NOT_HELD


def test_ratios_are_within_a_turn():
    rows = [
        {"side": side, "turn": turn, "value": value}
        for side, turn, value in [
            ("direct", 1, 10),
            ("pooled", 1, 20),
            ("direct", 2, 100),
            ("pooled", 2, 400),
            ("direct", 3, 0),
            ("pooled", 3, 5),
            ("direct", 4, 1),
            ("direct", 5, 7),
            ("pooled", 5, None),
        ]
    ]
    [pair] = results.pairs(rows).values()
    assert pair.ratio(results.field("value")) == (2, 3, 4)
    assert str(pair.ratio(results.field("value"))) == "**3.00** (2.00 to 4.00)"
    assert pair.middle("direct", results.field("value")) == 7
    assert pair.ratio(results.field("other")) is None
    assert str(results.Ratio(0.0031, 0.0123, 20)) == "**0.012** (0.0031 to 20.0)"


def test_cpu_of_1000_requests():
    run = {"side": "pooled", "rps": 50, "seconds": 10, "cpu": {"postgresql": 2.0, "pgbouncer": 1.0}}
    assert results.database_cpu(run) == 6
    assert results.database_cpu(run | {"cpu": {"postgresql": 2.0, "pgbouncer": None}}) is None
    assert results.database_cpu(run | {"side": "direct", "cpu": {"postgresql": 2.0, "pgbouncer": None}}) == 4
    assert results.database_cpu(run | {"rps": 0}) is None


def test_page_is_self_contained(tmp_path):
    report.write(make_figures(plans=PLAN), tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert not re.findall(r"<script|<link|<img|@import|src=|url\((?!#)", page)
    assert not re.findall(r'href="(?!#)', page)
    for text in (
        "<strong>2.00</strong>",
        "500 users, direct: failed requests of all turns: HTTP 500: 3",
        "connections run out: resolved",
        "listen_port = 6432",
        "max_connections = 100",
        "This is more than PostgreSQL has, on purpose",
        "unanswered",
        claims.NOT_HELD,
    ):
        assert text in page
    assert page.count("<svg") == 4 + 1 + 2 + 1
    assert "Not measured." not in page


def aborted():
    """Return the figures of a run that was stopped in its second measurement."""
    run = make_figures()["matrix"][0]
    return {"size": "full", "ended_early": True, "setup": {"max_connections": 100}, "matrix": [run], "sale": None}


def failed():
    """Return figures whose pooled runs, storms and sale could not be measured."""
    figures = make_figures(users=(200,), plans=PLAN, clients=(110,), turns=1)
    names = {"workers", "has_db_filter", "side", "turn", "users"}
    for run in runs(figures, "pooled"):
        run |= dict.fromkeys(run.keys() - names) | {"error": "Odoo did not start"}
    for row in figures["raw"]["storm"]:
        row |= {"transactions": 0, "tps": None, "cpu": None}
    figures["sale"] = {"phases": [], "minutes": []}
    return figures | {"problems": ["the sale: no memory"]}


@pytest.mark.parametrize("figures", [{}, aborted(), failed()], ids=["nothing", "aborted", "failed"])
def test_partial_figures(figures, tmp_path):
    report.write(figures, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "Not measured." in page
    assert verdict(figures, "In a flash sale") == UNKNOWN
    assert verdict(figures, "PgBouncer serves 5,000") == UNKNOWN
    assert verdict(figures, "Pooling makes every") == UNKNOWN
    assert "None" not in re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL)
    for problem in figures.get("problems", []):
        assert problem in page
    assert ("ended early" in page) == bool(figures.get("ended_early"))
    assert ("Odoo did not start" in page) == bool(figures.get("problems"))


def test_texts_cannot_break_a_page():
    blocks = [Heading("<b>"), Text("a | `<i>` **&**"), Table(["x|y"], [["1\n`a|b` <i>"]], "l")]
    page = page_html("<title>", blocks)
    assert "<h2>&lt;b&gt;</h2>" in page and "<code>&lt;i&gt;</code> <strong>&amp;</strong>" in page
    assert "1<br><code>a|b</code> &lt;i&gt;</td>" in page
    assert "| x\\|y |\n| --- |\n| 1<br>`a\\|b` <i> |" in page_markdown("T", blocks)


def test_publish(tmp_path):
    (tmp_path / "images").mkdir()
    figures = make_figures(plans=PLAN)
    figures["setup"]["servers"][0]["pgbouncer_ini"] = "auth_file = /var/lib/somewhere"
    figures["problems"] = ["Odoo does not start\n/var/lib/somewhere/odoo.log"]
    figures["matrix"][0] |= {"error": "Odoo has ended.\n/var/lib/somewhere/odoo.conf"}
    publish.publish(figures, tmp_path)
    kept = (tmp_path / "stress.json").read_text()
    assert len(kept) < 150_000 and "/var/lib" not in kept
    page = (tmp_path / "stress.md").read_text()
    assert page == publish.page(json.loads(kept))
    pictures = {path.name for path in tmp_path.glob("images/*")}
    assert pictures == set(re.findall(r"images/(stress-.*?\.png)", page)) and len(pictures) == 5
    # The page and the report have the same verdicts.
    assert verdicts(json.loads(kept)) == verdicts(figures)
    # The text of the docs is not cut into lists or headings where its lines are broken.
    assert not re.findall(r"\n(?:[+#]|\d+\.) ?\S+ [a-z]", page)


def committed_page():
    if not (DOCS / "stress.json").exists():
        pytest.skip("no figures are published yet")
    return (DOCS / "stress.md").read_text()


def test_docs_are_made_from_the_committed_figures():
    assert committed_page() == publish.page(json.loads((DOCS / "stress.json").read_text()))


def test_numbers_of_the_readme_are_in_the_docs():
    numbers = re.compile(r"\d(?:[\d,.]*\d)?")
    known = set(numbers.findall(committed_page()))
    _before, heading, rest = (CHECKOUT / "README.md").read_text().partition(README_SECTION)
    section = re.sub(r"\]\([^)]*\)", "]", rest.partition("\n## ")[0])
    assert heading and set(numbers.findall(section)) <= known


def test_clients_that_are_refused_or_not_answered(monkeypatch):
    monkeypatch.setattr(raw, "DEADLINE", 0.3)
    address = {"host": LOCALHOST, "user": "u", "password": "p", "dbname": "d"}
    with closing(socket.create_server((LOCALHOST, 0))) as silent:
        clients = raw.run_clients(address | {"port": silent.getsockname()[1]}, 3)
    assert [client.end for client in clients] == [None] * 3
    clients = raw.run_clients(address | {"port": free_port()}, 3)
    assert [client.end for client in clients] == ["Connection refused"] * 3


def test_messages_are_those_of_the_server():
    address = 'connection to server at "127.0.0.1", port 5432 failed: '
    message = "FATAL:  sorry, too many clients already"
    assert raw.short_message(Exception(address + message + "\n")) == "sorry, too many clients already"
