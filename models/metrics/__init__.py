from . import health
from . import connection_metrics
from . import connection_metrics_scrape
from . import connection_endpoint
from . import connection_sample
