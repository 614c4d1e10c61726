from . import test_access
from . import test_connection_endpoint
from . import test_connection_sample
from . import test_live_models
from . import test_pg_stat_activity
from . import test_pgbouncer_pool
from . import test_pressure
from . import test_tours
