"""What all SHOW models have in common, by those that are nothing but a command, a key and columns."""

from lxml import etree

from odoo.tests import new_test_user, tagged

from ...analysis import readings
from ...fields import NullableInteger
from ..common import ServerCase, answering, psql

PEERS = [
    {"peer_id": "2", "host": "127.0.0.1", "port": "7000", "pool_size": "3"},
    {"peer_id": "1", "host": "/run/pgbouncer/1", "port": "6432", "pool_size": None},
]
# The models whose views are written by hand.
EXPLICIT = {
    "pool": ("list", "form", "search", "pivot", "graph"),
    "client": ("list", "form", "search", "pivot", "graph"),
    "server": ("list", "form", "search", "pivot", "graph"),
    "database": ("list", "form", "search", "pivot", "graph"),
    "stat": ("list", "search", "pivot", "graph"),
    "setting": ("list", "search"),
}


@tagged("-at_install", "post_install")
class TestPgbouncerShow(ServerCase):
    def arch(self, model, view_type):
        return etree.fromstring(self.env[model].get_view(view_type=view_type)["arch"])

    def columns(self, model):
        return [name for name in self.env[model]._columns() if name != "id"]

    def test_users_equal_psql(self):
        shown = {row["name"]: row for row in psql("SHOW USERS")}
        columns = [name for name in next(iter(shown.values())) if not name.startswith("current_")]
        self.assertLessEqual(set(columns), set(self.columns("pgbouncer.user")))
        users = self.env["pgbouncer.user"].search([])
        self.assertEqual(
            {user.name: {name: str(user[name] or "") for name in columns} for user in users},
            {name: {column: row[column].strip() for column in columns} for name, row in shown.items()},
        )

    def test_numbers_are_typed(self):
        """A number that stays text would make each comparison in a list fail."""
        for model in map("pgbouncer.{}".format, (*EXPLICIT, "user", "peer")):
            command = self.env[model]._show_commands[0]
            for name, field in self.env[model]._fields.items():
                if isinstance(field, NullableInteger):
                    column = "id" if name == "socket_id" else name
                    row = dict.fromkeys((*readings.KEYS[command], column), "1")
                    [typed] = readings.console({command: [row]})[command]
                    self.assertEqual(typed[column], 1, f"{model}.{name}")

    def test_column_that_the_version_lacks_is_empty(self):
        with answering({self.endpoint: {"SHOW USERS": [{"name": "shop", "pool_mode": None}]}}):
            [row] = self.env["pgbouncer.user"].search([]).read(["pool_size", "current_connections"])
        self.assertIs(row["pool_size"], False)
        self.assertIs(row["current_connections"], False)

    def test_peers(self):
        specification = {name: {} for name in ("peer_id", "host", "port", "pool_size")}
        with answering({self.endpoint: {"SHOW PEERS": PEERS}}, version="1.24.1"):
            result = self.env["pgbouncer.peer"].web_search_read([], specification)
        rows = [{name: row[name] for name in specification} for row in result["records"]]
        self.assertEqual(
            rows,
            [
                {"peer_id": 1, "host": "/run/pgbouncer/1", "port": 6432, "pool_size": False},
                {"peer_id": 2, "host": "127.0.0.1", "port": 7000, "pool_size": 3},
            ],
        )
        self.assertEqual(result["reading"]["notices"], [])

    def test_version_that_does_not_know_the_command(self):
        """An empty list would look like a PgBouncer without peers."""
        for version, notices in (("1.18.0", 1), ("1.19.0", 0)):
            self.refresh()
            with answering({self.endpoint: {}}, version=version):
                result = self.env["pgbouncer.peer"].web_search_read([], {"host": {}})
            self.assertEqual(result["records"], [])
            self.assertEqual(len(result["reading"]["notices"]), notices, version)
        self.refresh()
        with answering({self.endpoint: {}}, version="1.18.0"):
            [notice] = self.env["pgbouncer.peer"].get_notices()
        self.assertEqual(notice["type"], "warning")
        self.assertIn("PgBouncer 1.18.0 does not have this command", notice["text"])
        self.assertIn("1.19", notice["remedy"])

    def test_any_search(self):
        """PostgreSQL gets only the columns that a search names, whatever way it names them."""
        clients = [{"ptr": f"0x{number}", "database": "shop", "user": f"user{number % 2}"} for number in range(4)]
        pools = [{"database": "shop", "user": "user1"}]
        with answering({self.endpoint: {"SHOW CLIENTS": clients, "SHOW POOLS": pools}}):
            Client = self.env["pgbouncer.client"]
            for domain, order, pointers in (
                ([], "ptr desc", ["0x3", "0x2", "0x1", "0x0"]),
                ([("user", "=", "user0")], None, ["0x0", "0x2"]),
                (["!", ("user", "=", "user0")], "endpoint_id, ptr desc", ["0x3", "0x1"]),
                (["|", ("ptr", "=", "0x0"), ("user", "like", "1")], "database", ["0x0", "0x1", "0x3"]),
                ([("pool_id", "!=", False)], "ptr", ["0x1", "0x3"]),
                ([("endpoint_id", "ilike", "test")], "ptr", ["0x0", "0x1", "0x2", "0x3"]),
                ([("endpoint_id.name", "=", "Other")], "ptr", []),
            ):
                with self.subTest(domain=domain):
                    self.env.invalidate_all()
                    found = Client.search(domain, order=order)
                    self.assertEqual(sorted(found.mapped("ptr")), sorted(pointers))
                    if order and order != "database":
                        self.assertEqual(found.mapped("ptr"), pointers)
                    self.assertEqual(Client.search_count(domain), len(pointers))
                    page = Client.web_search_read(domain, {"user": {}}, limit=1, order=order)
                    self.assertEqual(page["length"], len(pointers))
            rows = Client.search([], order="ptr", limit=2).read(["user"])
            self.assertEqual([row["user"] for row in rows], ["user0", "user1"])

    def test_record_rule(self):
        """It may name a column that the search does not."""
        self.env["ir.rule"].create(
            {
                "name": "Only the shop",
                "model_id": self.env["ir.model"]._get_id("pgbouncer.pool"),
                "domain_force": "[('database', '=', 'shop')]",
            }
        )
        viewer = new_test_user(self.env, "viewer", groups="pgbouncer_monitor.group_viewer")
        rows = [{"database": name, "user": "u", "cl_waiting": "1"} for name in ("shop", "other")]
        Pool = self.env["pgbouncer.pool"].with_user(viewer)
        with answering({self.endpoint: {"SHOW POOLS": rows}}):
            self.assertEqual(Pool.search([("cl_waiting", ">", 0)], order="user").mapped("database"), ["shop"])
            self.assertEqual(Pool.search_count([("cl_waiting", ">", 0)]), 1)

    def test_views_of_a_model_without_views(self):
        for model, key in (("pgbouncer.user", "name"), ("pgbouncer.peer", "peer_id")):
            self.assertFalse(self.env["ir.ui.view"].search([("model", "=", model)]))
            columns = self.columns(model)
            view = self.arch(model, "list")
            self.assertEqual(view.get("js_class"), "live_list")
            self.assertEqual([view.get(name) for name in ("create", "edit", "delete")], ["0", "0", "0"])
            self.assertEqual([node.get("name") for node in view.iter("field")], columns)
            optional = {node.get("name") for node in view.iter("field") if node.get("optional") == "show"}
            self.assertEqual(optional, set(columns) - {key})
            form = self.arch(model, "form")
            self.assertEqual({node.get("name") for node in form.iter("field")}, set(columns))
            search = self.arch(model, "search")
            self.assertIn("endpoint_id", [node.get("name") for node in search.iter("field")])
            self.assertIn("group_by_endpoint_id", [node.get("name") for node in search.iter("filter")])
            self.assertTrue(all(node.get("string") for node in search.iter("filter")))
        [port] = [node for node in self.arch("pgbouncer.peer", "list").iter("field") if node.get("name") == "port"]
        self.assertIn("'enable_formatting': false", port.get("options"), "7000, not 7,000")

    def test_views_of_a_model_without_views_are_translated(self):
        self.env["res.lang"]._activate_lang("fr_FR")
        field = self.env["ir.model.fields"]._get("pgbouncer.user", "pool_mode")
        field.with_context(lang="fr_FR").field_description = "Mode du pool"
        self.env.registry.clear_cache("templates")
        arch = self.env["pgbouncer.user"].with_context(lang="fr_FR").get_view(view_type="search")["arch"]
        self.assertIn('string="Mode du pool"', arch)

    def test_other_views_can_be_extended(self):
        """By their external ids, as before."""
        for name, view_types in EXPLICIT.items():
            for view_type in view_types:
                view = self.env.ref(f"pgbouncer_monitor.pgbouncer_{name}_view_{view_type}")
                self.assertEqual((view.model, view.type), (f"pgbouncer.{name}", view_type))
