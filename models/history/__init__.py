from . import connection_refusal
from . import connection_sample
from . import connection_sample_buckets
from . import connection_sample_retention
from . import connection_sampler
from . import connection_sample_overdue
from . import connection_endpoint
from . import connection_alert
