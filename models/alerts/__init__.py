from . import connection_rule
from . import connection_alert
from . import connection_alert_situation
from . import connection_alert_evidence
from . import connection_alert_messages
from . import connection_endpoint
