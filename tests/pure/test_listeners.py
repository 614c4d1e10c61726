from unittest import TestCase

from analysis.listeners import Connection, recognized, unaccounted

HERE = Connection("cron", ("127.0.0.1", 5000), None, "odoo-7")
REMOTE = Connection("bus", ("10.0.0.2", 6000), None, "odoo-1")
LOCAL = {("127.0.0.1", 5000): 7, ("127.0.0.1", 5001): 7}


class TestListeners(TestCase):
    def names(self, listeners, others, known=()):
        return [connection.name for connection in unaccounted(listeners, others, LOCAL, set(known))]

    def test_known_ones(self):
        others = [HERE._replace(end=("127.0.0.1", 5001)), REMOTE._replace(end=("10.0.0.2", 6001))]
        self.assertEqual(self.names([HERE, REMOTE], others), ["cron", "bus"])
        self.assertEqual(self.names([HERE, REMOTE], others, [7]), ["bus"], "by its process")
        self.assertEqual(self.names([HERE, REMOTE], others, [("10.0.0.2", 6000)]), ["cron"], "by its connection")

    def test_another_installation(self):
        """Its processes have no connection to this database."""
        self.assertEqual(self.names([HERE, REMOTE], []), [])
        self.assertEqual(self.names([REMOTE], [REMOTE._replace(program="odoo-2")]), [])
        self.assertEqual(self.names([REMOTE], [HERE]), [])

    def test_clients_without_a_name(self):
        """PgBouncer forgets it: the address must do."""
        self.assertEqual(self.names([REMOTE], [REMOTE._replace(program="", end=("10.0.0.2", 6001))]), ["bus"])
        self.assertEqual(self.names([REMOTE], [REMOTE._replace(program="", end=("10.0.0.3", 6001))]), [])

    def test_unix_socket(self):
        local = Connection("cron", None, 9, "odoo-9")
        self.assertEqual(self.names([local], [local]), ["cron"])
        self.assertEqual(self.names([local], [local], [9]), [])
        self.assertEqual(self.names([local._replace(pid=None)], []), [])

    def test_recognized(self):
        self.assertEqual(recognized([HERE, REMOTE], LOCAL, {7}), [HERE])
        self.assertEqual(recognized([HERE, REMOTE], LOCAL, {("10.0.0.2", 6000)}), [REMOTE])
        self.assertEqual(recognized([HERE, REMOTE], LOCAL, {8}), [])
