from odoo import fields
from odoo.tests import new_test_user, tagged

from ..common import TourCase, endpoint_values


class AppCase(TourCase):
    def setUp(self):
        """With a Viewer, an endpoint, an alert and a message about it, and LISTEN verdicts."""
        super().setUp()
        postgresql = self.env.ref("pgbouncer_monitor.connection_endpoint_postgresql")
        postgresql.active = True
        endpoint = self.env["connection.endpoint"].create(endpoint_values())
        for number, watched in enumerate((postgresql, endpoint)):
            now = fields.Datetime.now()
            values = {"level": "ok", "pressure": 10 + number, "sampled_at": now, "last_seen": now, "reason": None}
            watched._keep_reading(values)
        self.env["connection.alert"].search([]).unlink()
        alert = {"endpoint_id": endpoint.id, "endpoint_name": endpoint.name, "opened_at": fields.Datetime.now()}
        self.env["connection.alert"].create(alert | {"rule": "maxwait", "level": "critical"})
        self.env["connection.check"].search([]).unlink()
        for listener in ("bus", "cron"):
            values = {"listener": listener, "verdict": "direct", "level": "ok", "host": "h"}
            self.env["connection.check"].create(values | {"conclusion": {"text": "Seen."}})
        values = {"groups": "pgbouncer_monitor.group_viewer", "notification_type": "inbox", "email": "v@example.com"}
        viewer = new_test_user(self.env, "viewer", **values)
        endpoint.message_post(partner_ids=viewer.partner_id.ids, subtype_xmlid="mail.mt_comment")
        self.endpoint, self.viewer = endpoint, viewer

    def walk(self, address, size):
        self.start_tour(address, f"pgbouncer_monitor_app_{size}", login="viewer", timeout=300)


@tagged("-at_install", "post_install")
class TestAppOnADesk(AppCase):
    browser_size = "1366x768"

    def test_every_screen(self):
        """A Viewer comes from Discuss, sees the light, and opens every screen by the menu."""
        self.walk("/odoo/discuss", "desk")

    def test_link_of_a_mail(self):
        """It names the app, for administrators, too, who have a second menu under Technical."""
        app = self.env.ref("pgbouncer_monitor.pgbouncer_monitor_menu_root")
        for login in ("viewer", "admin"):
            self.authenticate(login, login)
            for record in (self.endpoint, self.endpoint.alert_ids):
                path = f"/mail/view?model={record._name}&res_id={record.id}"
                address = self.url_open(path, allow_redirects=False).headers["Location"]
                self.assertIn(f"menu_id={app.id}", address)


@tagged("-at_install", "post_install")
class TestAppOnAPhone(AppCase):
    browser_size = "375x800"
    touch_enabled = True

    def test_every_screen(self):
        self.walk("/odoo/connection-overview", "phone")
