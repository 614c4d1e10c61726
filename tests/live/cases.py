"""The base class of the tests of sessions."""

from ast import literal_eval

from lxml import etree

from odoo.fields import Domain

from ..common import ServerCase, connect


class SessionCase(ServerCase):
    def setUp(self):
        super().setUp()
        self.Session = self.env["pg.stat.activity"]

    def session(self, **options):
        """A session of Odoo's own role, which that role may see, and its record."""
        connection = self.client(connect(user="odoo", **options))
        return connection, self.record(connection)

    def record(self, connection):
        self.refresh()
        return self.Session.search([("pid", "=", connection.info.backend_pid)])

    def filter(self, name):
        arch = etree.fromstring(self.env.ref("pgbouncer_monitor.pg_stat_activity_view_search").arch)
        return Domain(literal_eval(arch.find(f".//filter[@name='{name}']").get("domain")))

    def as_superuser(self, grant):
        superuser = self.client(connect())
        superuser.cursor().execute(grant)
        self.addCleanup(superuser.cursor().execute, "REVOKE pg_monitor FROM odoo")
        self.refresh()
