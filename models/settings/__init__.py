from . import connection_overview
from . import res_config_settings
