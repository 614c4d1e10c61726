"""The words of the rules."""

from odoo import api, models

from ...analysis.incidents import QUEUES


class ConnectionRule(models.Model):
    _inherit = "connection.rule"

    @api.model
    def _descriptions(self):
        """What each rule says."""
        return {
            "postgresql_pressure": self.env._(
                "PostgreSQL's connections run out: client backends, in percent of what ordinary roles can have. At 100 "
                "it refuses new ones."
            ),
            "pool_growth": self.env._(
                "The pools may open more connections than PostgreSQL has: what is in use, and by what the pools of "
                "databases with servers can grow, in percent of what ordinary roles can have."
            ),
            "blocked_age": self.env._("A session waits for a lock that another one holds: how long it has waited."),
            "idle_in_transaction_age": self.env._(
                "A session does nothing, with a transaction open: for how long. It holds its locks, and in a pool its "
                "server."
            ),
            "xact_age": self.env._(
                "A transaction has been open for long: it keeps vacuum from its work, and may hold locks. A long "
                "backup, import or scheduled action is one, too."
            ),
            "waiting_samples": self.env._(
                "Clients of a pool wait for a server: pages load slowly or not at all. A short queue is normal under "
                "load, one that stays is not."
            ),
            "maxwait": self.env._(
                "The first client in a pool's queue has waited long for a server, and so does whoever opens a page."
            ),
            "pgbouncer_pressure": self.env._(
                "PgBouncer's connections run out: clients in percent of max_client_conn, or servers of a database in "
                "percent of max_db_connections. At 100 the next one is refused, or waits."
            ),
            "paused_samples": self.env._("PgBouncer, or one of its databases, is paused: no client gets a server."),
            "unanswered_samples": self.env._(
                "The server does not answer: nobody knows how it is, and its clients may get no answer, either."
            ),
            "deaf_bus_samples": self.env._(
                "The last LISTEN check found that Odoo's bus does not work: chat and notifications are not live."
            ),
            "deaf_cron_samples": self.env._(
                "The last LISTEN check found that Odoo's cron workers are not woken up: triggered jobs wait for up to "
                "a minute."
            ),
        }

    @api.model
    def _advice_on_bottleneck(self, name):
        """What to do first when a pool is held back by something that a larger pool_size does not help; None if it
        does."""
        return {
            "paused": self._advice("paused_samples"),
            "login": self.env._(
                "Check that PostgreSQL is running, and that PgBouncer reaches it: host and port under [databases], "
                "pg_hba.conf, max_connections. PgBouncer's log has the reason. A larger pool does not help."
            ),
            "max_db_connections": self.env._(
                "Raise max_db_connections, as far as PostgreSQL has room, or find out which sessions hold its servers. "
                "A larger pool_size does not help."
            ),
            "max_user_connections": self.env._(
                "Raise max_user_connections, as far as PostgreSQL has room, or find out which sessions hold the user's "
                "servers. A larger pool_size does not help."
            ),
        }.get(name)

    @api.model
    def _advice(self, name, bottleneck=None):
        """What to do first when a threshold of this rule is reached.

        :param str bottleneck: of `pgbouncer.pool`, if the rule is about a queue
        """
        if (name in QUEUES) and (advice := self._advice_on_bottleneck(bottleneck)):
            return advice
        look_at_pool = self.env._(
            "Look at the sessions of the pool: if one holds up the others, or is idle in a transaction, end it."
        )
        if bottleneck in ("pool_size", "reserve_pool"):
            look_at_pool += " " + self.env._(
                "If all of them work, the pool is too small: raise its pool_size, as far as PostgreSQL has room."
            )
        else:
            look_at_pool += " " + self.env._(
                "“Held Back By”, in Pools, shows what keeps a pool from opening another server."
            )
        paste = self.env._("Open LISTEN Check: it has the lines that mend it. Then check again there.")
        return {
            "postgresql_pressure": self.env._(
                "See Sessions, grouped by component, for who holds the connections. End what is not needed, and lead "
                "what opens many through PgBouncer in transaction mode."
            ),
            "pool_growth": self.env._(
                "Make the pools smaller (default_pool_size, or pool_size of a database, or max_db_connections), or "
                "raise max_connections, before all are busy at once."
            ),
            "blocked_age": self.env._(
                "Open Sessions, a red one, and press Root Blocker: that session holds the lock. Let it end its "
                "transaction, or terminate it."
            ),
            "idle_in_transaction_age": self.env._(
                "Find out which program left its transaction open, and end it there, or terminate the session. "
                "idle_in_transaction_session_timeout in PostgreSQL ends such sessions by itself."
            ),
            "xact_age": self.env._(
                "Find out what the oldest session does. A backup or an import may take its time; anything else holds "
                "locks, and keeps vacuum from its work."
            ),
            "waiting_samples": look_at_pool,
            "maxwait": look_at_pool,
            "pgbouncer_pressure": self.env._(
                "See PgBouncer > Clients for who is connected. Raise max_client_conn (and the limit of open files of "
                "its process) or max_db_connections, and reload PgBouncer."
            ),
            "paused_samples": self.env._(
                "Ask who paused it, and why. RESUME ends it: in psql, or by the button on the endpoint or the database "
                "if the endpoint's user is one of the admin_users."
            ),
            "unanswered_samples": self.env._(
                "Do what is said there. If the server is down, its clients are, too: start it again, and read its log."
            ),
            "deaf_bus_samples": paste,
            "deaf_cron_samples": paste,
        }[name]
