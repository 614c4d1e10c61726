"""The classic case, which plans of tests start from."""

from odoo.fields import Command

from ...planner.inputs import Inputs, Other

CLASSIC = {
    "name": "Classic",
    "servers": 5,
    "workers": 20,
    "max_cron_threads": 0,
    "gevent_connections": 0,
    "max_connections": 100,
    "cores": 8,
    "pgbouncer_host": "db.example.com",
    "other_ids": [Command.create({"name": "Backup", "count": 2}), Command.create({"name": "psql", "count": 3})],
}
CLASSIC_INPUTS = Inputs(
    **{name: value for name, value in CLASSIC.items() if name not in ("name", "other_ids")},
    others=(Other("Backup", 2), Other("psql", 3)),
)
