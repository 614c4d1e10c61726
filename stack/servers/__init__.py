"""Start, stop and configure real servers: PostgreSQL, PgBouncer, Odoo, nginx.

Every server has a folder of its own for its configuration, data and log, listens on
127.0.0.1 only, and goes on when the program that started it ends: its folder holds its
process id. Used by the demo and by the tests.
"""

from .nginx import Nginx
from .odoo import Odoo, OdooBus
from .pair import Pair
from .pgbouncer import PgBouncer
from .postgresql import PostgreSQL, postgresql_program
from .system import (
    CHECKOUT,
    LOCALHOST,
    MODULE,
    POSTGRESQL_VERSIONS,
    STACK,
    VERSIONS,
    ServerError,
    data_root,
    free_port,
    make_certificate,
    make_folder,
    step,
    suite_root,
)
