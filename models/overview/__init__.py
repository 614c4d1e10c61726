from . import connection_overview
from . import connection_overview_cards
from . import connection_overview_charts
from . import connection_overview_now
from . import connection_overview_holders
from . import connection_overview_pgbouncers
