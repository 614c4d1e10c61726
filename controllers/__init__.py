from . import listen
from . import planner
