from . import connection_live
from . import connection_endpoint
from . import pg_stat_activity
from . import pgbouncer_show
from . import pgbouncer_pool
