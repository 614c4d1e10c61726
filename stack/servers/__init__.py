"""Start, stop and configure real servers: PostgreSQL, PgBouncer, Odoo, nginx, HAProxy, Prometheus.

Each server has its own folder for configuration, data and log, and listens on 127.0.0.1 only.
It keeps running when the program that started it ends: its folder holds its process ID.
The demo, the tests and the benchmarks use them.
"""

from .firewall import Firewall
from .haproxy import StickyProxy, TcpProxy
from .nginx import Nginx
from .odoo import Odoo, OdooBus
from .pair import Pair
from .pgbouncer import PgBouncer
from .postgresql import PostgreSQL, postgresql_program
from .prometheus import Prometheus
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
