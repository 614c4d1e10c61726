from . import connection_check
from . import verdicts
from . import remedies
from . import connection_check_run
from . import step_route
from . import step_bus
from . import step_pool
from . import step_cron
