"""A newcomer: from an empty Odoo behind a PgBouncer that nobody watches to an alert, by clicks in Chromium."""

import json
import time

import pytest

from pictures import Browser
from rpc import OdooClient
from servers import MODULE, STACK, VERSIONS, Odoo, free_port
from support import wait_until

SECONDS = 60
DATABASE = "newcomer"
# The elements that a selector finds, with a text, that are shown.
FIND = """
[...document.querySelectorAll({selector})].find(
    (element) => element.textContent.includes({text}) && element.offsetParent
)
"""


class Screen(Browser):
    """A user who knows nothing but the screen."""

    def __init__(self):
        super().__init__()
        size = {"width": 1366, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.send("Emulation.setDeviceMetricsOverride", **size)

    def open(self, url):
        self.send("Page.navigate", url=url)

    def find(self, selector, text=""):
        return FIND.format(selector=json.dumps(selector), text=json.dumps(text)).strip()

    def see(self, selector, text="", seconds=SECONDS):
        wait_until(lambda: self.evaluate(f"!!{self.find(selector, text)}"), seconds)

    def click(self, selector, text=""):
        self.see(selector, text)
        self.evaluate(f"{self.find(selector, text)}.click()")

    def type(self, selector, text):
        self.see(selector)
        self.evaluate(f"{self.find(selector)}.focus(), {self.find(selector)}.select()")
        self.send("Input.insertText", text=text)

    def press_enter(self):
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", text="\r")

    def is_done(self, name):
        self.see(f".o_first_step[data-name={name}][data-state=done]")


@pytest.fixture
def odoo(pair, new_pgbouncer):
    """An Odoo without the module, behind a PgBouncer that reports its version."""
    pooler = new_pgbouncer(VERSIONS["1.26"])
    options = pair.odoo_options() | {"db_port": pooler.port, "db_name": DATABASE, "max_cron_threads": 1}
    odoo = Odoo(STACK / "test-newcomer", free_port(), free_port(), options)
    pair.postgresql.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
    odoo.run("server", "-d", DATABASE, "-i", "web", "--stop-after-init", "--no-http", "--max-cron-threads=0")
    odoo.start()
    yield odoo, pooler
    odoo.stop()
    pair.postgresql.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)", "REVOKE pg_monitor FROM odoo")


@pytest.fixture
def screen():
    screen = Screen()
    yield screen
    screen.stop()


def install(screen, url):
    """Sign in and activate the module in Apps."""
    screen.open(f"{url}/odoo/apps")
    screen.type("input[name=login]", "admin")
    screen.type("input[name=password]", "admin")
    screen.click(".oe_login_buttons button[type=submit]")
    screen.click(".o_facet_remove")  # it is not among the apps
    screen.type("input.o_searchview_input", "pgbouncer")
    screen.press_enter()
    screen.click(f".o_kanban_record:has(img[src*={MODULE}]) button[name=button_immediate_install]")
    installed = [["name", "=", MODULE], ["state", "=", "installed"]]
    client = OdooClient(url, DATABASE)
    wait_until(lambda: client.call("ir.module.module", "search_count", installed), 4 * SECONDS)
    return client


def watch_pgbouncer(screen, pair, pooler):
    screen.see(".o_first_step[data-name=pgbouncer]", "A PgBouncer was found")
    pair.passwords["odoo_monitor"] = "a long password"  # as the lines say
    pooler.settings["stats_users"] = "odoo_monitor"
    pooler.reload()
    screen.click(".o_first_step[data-name=pgbouncer] button", "Watch This PgBouncer")
    screen.type("div[name=user] input", "odoo_monitor")
    screen.type("div[name=password] input", "a long password")
    screen.click(".o_form_button_save")
    screen.see(".o_endpoint_card", "No clients waiting")
    screen.click(".o_breadcrumb a", "Overview")
    screen.is_done("pgbouncer")


def check_listen(screen):
    screen.click(".o_first_step[data-name=checked] button", "Open LISTEN Check")
    screen.click(".o_listen_check_now")
    screen.see(".o_listen_check_bus[data-verdict=session]", seconds=2 * SECONDS)
    screen.click(".o_breadcrumb a", "Overview")


def follow_steps(screen, pair, pooler):
    check_listen(screen)
    watch_pgbouncer(screen, pair, pooler)
    line = screen.evaluate("document.querySelector('.o_first_step[data-name=pg_monitor] pre').textContent")
    pair.postgresql.execute(line)
    screen.is_done("pg_monitor")
    screen.is_done("sampled")  # by the scheduled action
    screen.click(".o_first_step[data-name=recipients] button", "My Preferences")
    screen.click(".modal [name=notification_type] input[data-value=inbox]")
    screen.click(".modal button[name=preference_save]")
    screen.see(".o_connection_overview:not(:has(.o_first_steps)) .o_endpoint_card")


def expect_alert(screen, client, url):
    """Set a low threshold, and wait until the alert is in the user's inbox."""
    domain = [["rule", "=", "pgbouncer_pressure"], ["endpoint_id", "=", False]]
    rule = client.call("connection.rule", "search", domain)
    client.call("connection.rule", "write", rule, {"warning": 0.01, "samples": 1, "of_samples": 1})
    told = [["res_partner_id.user_ids.login", "=", "admin"], ["notification_type", "=", "inbox"]]
    wait_until(lambda: client.call("mail.notification", "search_count", told), 3 * SECONDS)
    screen.open(f"{url}/odoo/discuss?active_id=mail.box_inbox")
    screen.see(".o-mail-Message", "PgBouncer at")


@pytest.mark.long
@pytest.mark.timeout(900)
def test_newcomer(pair, odoo, screen):
    server, pooler = odoo
    client = install(screen, server.url)
    started = time.monotonic()
    screen.open(f"{server.url}/odoo/connection-overview")
    follow_steps(screen, pair, pooler)
    expect_alert(screen, client, server.url)
    assert time.monotonic() - started < 5 * SECONDS
