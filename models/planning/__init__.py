from . import connection_plan
from . import connection_plan_actions
from . import connection_plan_other
