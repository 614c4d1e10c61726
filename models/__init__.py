from . import endpoint
from . import live
from . import listen_check
from . import alerts
from . import history
from . import overview
from . import planning
from . import settings
