from . import connection_endpoint
from . import connection_endpoint_query
from . import connection_endpoint_reading
from . import connection_endpoint_route
from . import connection_endpoint_console
from . import problems
from . import connection_reading
from . import connection_settings
