from . import health
from . import listen
from . import metrics
from . import planner
