from . import connection_plan
from . import connection_plan_actions
from . import connection_plan_other
from . import connection_plan_fill
from . import connection_plan_fill_servers
from . import connection_plan_fill_history
