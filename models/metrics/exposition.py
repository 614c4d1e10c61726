"""What Prometheus's client library does: headers of the families, and the choice of a format. Without the library there
are no metrics."""

import gzip
from functools import cache

from ...analysis.metric_families import FAMILIES

try:
    from prometheus_client import exposition as library
    from prometheus_client.core import Metric
    from prometheus_client.openmetrics import exposition as openmetrics
except ImportError:  # an optional dependency
    library = None

MISSING = "The Python library prometheus_client is missing: pip install odoo-addon-pgbouncer-monitor[metrics]\n"
END = "# EOF\n"


class _One:
    """A collector of one family without series."""

    def __init__(self, name):
        kind = "counter" if name.endswith("_total") else "gauge"
        self.metric = Metric(name.removesuffix("_total"), FAMILIES[name].help, kind)

    def collect(self):
        return [self.metric]


def content_type(accept):
    """Return the Content-Type of the format that an Accept header asks for."""
    return library.choose_encoder(accept)[1]


def is_openmetrics(kind):
    """Return whether this Content-Type is OpenMetrics and not Prometheus's text format."""
    return kind.startswith("application/openmetrics-text")


@cache
def header(name, is_open):
    """Return the lines before a family: type and help.

    :param str name: of FAMILIES
    :param bool is_open: of `is_openmetrics`: the formats differ in them alone
    """
    lines = (openmetrics if is_open else library).generate_latest(_One(name))
    return lines.decode().removesuffix(END)


def member(text):
    """Return a text as a gzip member; members can be concatenated. At the fastest level: the sampler waits for it."""
    return gzip.compress(text.encode(), 1, mtime=0)


def packed(parts):
    """Return a page as gzip.

    :param parts: texts and gzip members
    """
    members, texts = [], []
    for part in (*parts, b""):
        if isinstance(part, str):
            texts.append(part)
            continue
        if texts:
            members.append(member("".join(texts)))
            texts = []
        members.append(part)
    return b"".join(members)


def unpacked(parts):
    """Return a page as it is. See `packed`."""
    return b"".join(gzip.decompress(part) if isinstance(part, bytes) else part.encode() for part in parts)
