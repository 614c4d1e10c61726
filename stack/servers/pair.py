"""A PostgreSQL and the PgBouncer in front of it."""

import secrets

from .pgbouncer import PgBouncer
from .postgresql import PostgreSQL
from .system import LOCALHOST


class Pair:
    """A PostgreSQL and the PgBouncer in front of it, with the roles ``odoo`` and ``shop``, which owns a database.

    :param Path root: the folder for both
    :param dict ports: ``postgresql`` and ``pgbouncer``
    :param dict passwords: of USERS
    :param str suite: the Debian suite whose PostgreSQL it runs; by default the installed one
    """

    USERS = ("postgres", "odoo", "shop", PgBouncer.admin, PgBouncer.stats)

    def __init__(self, root, ports, passwords, databases=None, suite=None):
        self.passwords = passwords
        self.postgresql = PostgreSQL(root / "postgresql", ports["postgresql"], passwords["postgres"], suite=suite)
        self.pgbouncer = PgBouncer(root / "pgbouncer", ports["pgbouncer"], self.postgresql, passwords, databases)

    @classmethod
    def new_passwords(cls):
        return {user: secrets.token_urlsafe(18) for user in cls.USERS}

    def create_roles(self):
        """Create the roles and the database ``shop``, where they are missing."""
        for role, option in (("odoo", "CREATEDB"), ("shop", "NOCREATEDB")):
            if not self.postgresql.execute(f"SELECT 1 FROM pg_roles WHERE rolname = '{role}'"):
                self.postgresql.execute(f"CREATE ROLE {role} LOGIN {option} PASSWORD '{self.passwords[role]}'")
        if not self.postgresql.execute("SELECT 1 FROM pg_database WHERE datname = 'shop'"):
            self.postgresql.execute("CREATE DATABASE shop OWNER shop")

    def start(self):
        self.postgresql.start()
        self.create_roles()
        self.pgbouncer.start()

    def stop(self):
        self.pgbouncer.stop()
        self.postgresql.stop()

    def odoo_options(self):
        """Return the options of odoo.conf with which an Odoo connects through PgBouncer."""
        return {
            "db_host": LOCALHOST,
            "db_port": self.pgbouncer.port,
            "db_user": "odoo",
            "db_password": self.passwords["odoo"],
        }

    def environment(self, passfile):
        """Return environment variables with the addresses, users and passwords of these servers.

        :param Path passfile: where to write libpq's password file, so that psql does not prompt
        """
        passfile.touch(mode=0o600)
        passfile.write_text(
            "".join(
                f"{LOCALHOST}:{server.port}:*:{user}:{password}\n"
                for user, password in self.passwords.items()
                for server in (self.postgresql, self.pgbouncer)
            )
        )
        return {
            "PGHOST": LOCALHOST,
            "PGPORT": str(self.postgresql.port),
            "PGUSER": "postgres",
            "PGPASSFILE": str(passfile),
            "PGBOUNCER_HOST": LOCALHOST,
            "PGBOUNCER_PORT": str(self.pgbouncer.port),
            "PGBOUNCER_ADMIN": PgBouncer.admin,
            "PGBOUNCER_ADMIN_PASSWORD": self.passwords[PgBouncer.admin],
            "PGBOUNCER_STATS": PgBouncer.stats,
            "PGBOUNCER_STATS_PASSWORD": self.passwords[PgBouncer.stats],
            "SHOP_PASSWORD": self.passwords["shop"],
        }
