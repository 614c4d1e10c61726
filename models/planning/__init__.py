from . import connection_plan
from . import connection_plan_other
from . import connection_plan_results
from . import connection_plan_compare
from . import connection_plan_rollout
from . import connection_plan_text
from . import connection_plan_actions
