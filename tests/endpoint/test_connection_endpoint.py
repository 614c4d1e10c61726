import os
from unittest.mock import patch

from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.tests import new_test_user, tagged
from odoo.tools import mute_logger

from ...models.endpoint.connection_endpoint import PASSWORD_VARIABLE
from ..common import ServerCase, closed_port, endpoint_values, variable


@tagged("-at_install", "post_install")
class TestConnectionEndpoint(ServerCase):
    def test_connection_works(self):
        action = self.endpoint.action_test()
        self.assertEqual(action["params"]["type"], "success")
        self.assertIn("PgBouncer 1.", action["params"]["message"])
        self.assertTrue(self.endpoint.last_seen)
        self.assertFalse(self.endpoint.last_error)

    def test_failure_is_kept_until_it_works_again(self):
        port = self.endpoint.port
        self.endpoint.write({"port": closed_port(), "password": variable("PGBOUNCER_STATS_PASSWORD")})
        action = self.endpoint.action_test()
        self.assertEqual(action["params"]["type"], "danger")
        self.assertIn("No server listens", self.endpoint.last_error)
        self.assertIn("listen_port", self.endpoint.last_error, "the remedy")
        self.assertFalse(self.endpoint.last_seen)
        self.endpoint.write({"port": port, "password": variable("PGBOUNCER_STATS_PASSWORD")})
        self.assertIn("Not sampled yet", self.endpoint.last_error, "the sample was taken at the other address")
        self.endpoint.action_test()
        self.assertTrue(self.endpoint.last_seen)

    def test_password_cannot_be_read(self):
        secret = variable("PGBOUNCER_STATS_PASSWORD")
        admin = self.endpoint.with_user(self.env.ref("base.user_admin"))
        self.assertNotIn("stored_password", admin.fields_get())
        with self.assertRaises(AccessError):
            admin.read(["stored_password"])
        with self.assertRaises(AccessError):
            admin.search([("stored_password", "=like", secret[:3] + "%")])
        self.assertFalse(admin.password)
        self.assertTrue(admin.has_password)
        self.assertNotIn(secret, str(admin.read()))
        self.assertNotIn(secret, str(admin.export_data(["name", "password"])))
        self.assertFalse(self.endpoint.copy().sudo().stored_password)
        self.endpoint.password = "a new secret"
        self.env.flush_all()
        self.assertEqual(self.endpoint.sudo().stored_password, "a new secret")
        self.assertNotIn("secret", str(self.endpoint.message_ids.read(["body", "tracking_value_ids"])))

    def test_manager_does_not_get_the_password(self):
        """A Manager may change the host, but the stored password is not sent to the new one."""
        manager = new_test_user(self.env, "manager", groups="pgbouncer_monitor.group_manager")
        endpoint = self.endpoint.with_user(manager)
        self.assertNotIn("password", endpoint.fields_get())
        with self.assertRaises(AccessError):
            endpoint.write({"password": "mine"})
        for change in ({"host": "localhost"}, {"port": 1234}, {"user": "other"}, {"sslmode": "disable"}):
            self.endpoint.password = "secret"
            endpoint.write({"name": "Renamed"})
            self.assertTrue(self.endpoint.sudo().stored_password, "the address is the same")
            endpoint.write(change)
            self.assertFalse(self.endpoint.sudo().stored_password, change)

    def test_password_file_is_for_addresses_of_administrators(self):
        """An entry of the file may match any host, and be the password of Odoo's own database."""
        variable("PGPASSFILE")
        admin = self.endpoint.with_user(self.env.ref("base.user_admin"))
        by_admin = admin.create(endpoint_values(password=False))
        self.assertEqual(by_admin.action_test()["params"]["type"], "success")
        manager = new_test_user(self.env, "manager", groups="pgbouncer_monitor.group_manager")
        values = endpoint_values()
        del values["password"]
        endpoints = by_admin.with_user(manager).copy() | by_admin.with_user(manager).create(values)
        for endpoint in endpoints:
            self.assertIn("a password for the user", endpoint.action_test()["params"]["message"])
        by_admin.with_user(manager).name = "Renamed"
        self.assertEqual(by_admin.action_test()["params"]["type"], "success")
        by_admin.with_user(manager).host = "localhost"
        self.assertIn("a password for the user", by_admin.action_test()["params"]["message"])
        by_admin.host = "127.0.0.1"
        self.assertEqual(by_admin.action_test()["params"]["type"], "success")

    def test_environment_is_for_addresses_of_administrators(self):
        manager = new_test_user(self.env, "manager", groups="pgbouncer_monitor.group_manager")
        values = endpoint_values()
        del values["password"]
        by_admin = self.endpoint.with_user(self.env.ref("base.user_admin")).create(values)
        by_manager = self.endpoint.with_user(manager).create(values)
        nothing = {"PGPASSFILE": "/nonexistent", PASSWORD_VARIABLE: variable("PGBOUNCER_STATS_PASSWORD")}
        with patch.dict(os.environ, nothing):
            self.assertEqual(by_admin.action_test()["params"]["type"], "success")
            self.assertIn("a password for the user", by_manager.action_test()["params"]["message"])

    def test_own_database_is_not_paused(self):
        """Odoo is connected through this PgBouncer: Resume would not work."""
        admin = {"user": variable("PGBOUNCER_ADMIN"), "password": variable("PGBOUNCER_ADMIN_PASSWORD")}
        self.endpoint.write({"user": admin["user"]})
        self.endpoint.write({"password": admin["password"]})
        with self.assertRaisesRegex(UserError, "this Odoo is connected through it"):
            self.endpoint.action_pause()
        own = self.env["pgbouncer.database"].search([("name", "=", self.env.cr.dbname)])
        with self.assertRaisesRegex(UserError, "this Odoo is connected through it"):
            own.action_pause()

    def test_remove_password(self):
        self.endpoint.action_remove_password()
        self.assertFalse(self.endpoint.has_password)
        self.assertFalse(self.endpoint.sudo().stored_password)

    def test_address_change_is_in_the_chatter(self):
        self.env.flush_all()
        self.cr.precommit.run()  # what was tracked at creation
        self.endpoint.port = 7000
        self.env.flush_all()
        self.cr.precommit.run()
        [value] = self.endpoint.message_ids[0].sudo().tracking_value_ids
        [shown] = value._tracking_value_format()
        self.assertEqual((shown["fieldInfo"]["fieldType"], shown["newValue"]), ("char", "7000"), "not 7,000")

    @mute_logger("odoo.sql_db")
    def test_bad_port(self):
        for port in (0, -1, 65536):
            with self.assertRaisesRegex(ValidationError, "between 1 and 65535"):
                self.endpoint.port = port

    def test_bad_host(self):
        for host in ("one,two", "/tmp,192.0.2.1", "a b"):
            with self.assertRaisesRegex(ValidationError, "one host"):
                self.endpoint.host = host

    def test_host_with_a_common_mistake(self):
        with self.assertRaisesRegex(ValidationError, "Enter its directory, /run/pgbouncer, as the host"):
            self.endpoint.host = "/run/pgbouncer/.s.PGSQL.6432"
        with self.assertRaisesRegex(ValidationError, "without brackets"):
            self.endpoint.host = "[::1]"

    def test_format_of_addresses(self):
        for host, where in (
            ("::1", "[::1]:"),
            ("@no_such_pool", "@no_such_pool/.s.PGSQL."),
            ("/no/such", "/no/such/.s.PGSQL."),
        ):
            self.endpoint.write({"host": host, "port": closed_port()})
            self.refresh()
            self.assertIn(f"No server listens at {where}{self.endpoint.port}", self.endpoint.console_error)

    def test_numbers_in_the_users_language(self):
        self.env["res.lang"]._activate_lang("de_DE")
        german = self.env["connection.rule"].with_context(lang="de_DE")
        for value, text in ((21.74, "21,74 s"), (0.3224, "0,322 s"), (3, "3 s"), (0, "0 s"), (90, "1 min 30 s")):
            self.assertEqual(german._format_value("maxwait", value), text)
        self.assertEqual(german._format_value("pgbouncer_pressure", 1234567.2), "1.234.567,2 %")
        self.endpoint.port = self.silent_server()
        self.refresh()
        self.assertIn("nicht innerhalb von 3,0 s", self.endpoint.with_context(lang="de_DE").console_error)
