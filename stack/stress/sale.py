"""The flash sale: five Odoo servers with 20 workers each, for which PostgreSQL has too few connections: first directly,
then with the plan's PgBouncer. Locust, the chatter and the metrics record it at the same time.
"""

import contextlib
import threading
import time

import requests
from prometheus_client.parser import text_string_to_metric_families

from analysis.pressure import severity
from servers import ServerError

from .load import Load
from .meters import SAMPLES, Meter, rows
from .scene import Scene
from .sides import inputs

# So few that it is not the CPU that is missing: each worker that has served a request keeps its connection. The servers
# of a shop have cores of their own. Here they share them, and Odoo gives its cron workers a low priority.
USERS = 60
# Of a phase: at least two samples, which an alert about pressure needs, and at most as long as its message, or that
# about its end, may take.
MIN_SECONDS, MAX_SECONDS = 130, 280
SCRAPE_SECONDS = 10
# The values of odoo_connection_level.
METRIC_LEVELS = ("ok", "warning", "critical")
# How many alerts the chatter has reported and not yet reported as resolved.
ALERTS = """
    SELECT count(*) FILTER (WHERE rule = 'refused_requests') AS refused,
        count(*) FILTER (WHERE rule = 'postgresql_pressure') AS pressure
    FROM connection_alert WHERE reported_level IN ('warning', 'critical')
"""
MESSAGES = """
    SELECT extract(epoch FROM date)::float8 AS at, subject AS text FROM mail_message
    WHERE model = 'connection.endpoint' AND subject <> '' ORDER BY id
"""


def run(side, logins):
    """Yield the figures of the sale: after each phase, as far as they are measured.

    :param Side side: it has neither PgBouncer nor Odoo yet
    :param list logins: (login, password) of its users
    """
    with contextlib.closing(side.postgresql.connect(side.database)) as connection:
        sale = Sale(side, Scene(side.url, side.database, logins), connection.cursor())
        for name in ("direct", "pooled"):
            sale.run_phase(name)
            yield sale.figures()


class Sale:
    """The sale, as far as it went.

    :param cursor: of a superuser in the side's database: a later connection might be refused like Odoo's
    """

    def __init__(self, side, scene, cursor):
        self.side, self.scene, self.cursor = side, scene, cursor
        self.inputs = inputs(20, servers=5)
        self.phases, self.scrapes = [], []
        self.key = None

    def run_phase(self, name):
        side = self.side
        side.stop_odoos()
        if name == "pooled":
            side.start_pgbouncer(self.inputs)
        side.start_odoos(self.inputs, has_db_filter=False)
        if not self.phases:  # its sessions remain
            self.scene.prepare()
        self.prepare()
        load = Load(self.scene, USERS, spawn_rate=10, warm_up=0, seconds=MAX_SECONDS)
        with Meter(side, wake_every=None) as meter, self.watching(load, is_saturated=name == "direct"):
            result = load.run()
        ended_at = result["started_at"] + result["seconds"]
        phase = {"side": name, "workers": self.inputs.servers * self.inputs.workers, "ended_at": ended_at}
        # Odoo's main process ends if it has to start a worker and gets no connection.
        phase["ended_servers"] = len(side.ended_odoos())
        self.phases.append(phase | result | meter.between(result["started_at"], ended_at))

    def prepare(self):
        """Make what records the sale ready while there are connections: an API key, a sample, and a first scrape."""
        self.key = self.key or self.side.admin().new_key(self.side.passwords["admin"])
        count, deadline = len(self.samples()), time.monotonic() + 90
        while len(self.samples()) == count:
            if time.monotonic() > deadline:
                raise ServerError("the scheduled action takes no sample")
            time.sleep(1)
        self.scrapes.append(scrape(self.side.url, self.key))

    @contextlib.contextmanager
    def watching(self, load, is_saturated):
        """Scrape the metrics meanwhile, and end the load when the chatter has all that is expected.

        :param bool is_saturated: whether both alerts are expected, otherwise that neither is open any more
        """
        is_over = threading.Event()

        def watch():
            started = time.monotonic()
            while not is_over.wait(SCRAPE_SECONDS):
                self.scrapes.append(scrape(self.side.url, self.key))
                [reported] = rows(self.cursor, ALERTS)
                is_reported = set(map(bool, reported.values())) == {is_saturated}
                if is_reported and time.monotonic() - started > MIN_SECONDS:
                    load.stop()

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()

    def samples(self):
        return rows(self.cursor, SAMPLES, [0])

    def figures(self):
        """Return the figures of the sale, as far as it went."""
        messages = rows(self.cursor, MESSAGES)
        minutes = by_minute(self.phases, self.scrapes, messages)
        recorded = {"scrapes": self.scrapes, "samples": self.samples(), "messages": messages, "minutes": minutes}
        return {"phases": self.phases} | recorded


def scrape(url, key):
    """Return what the metrics show: a reading of figures.json. All is None if the scrape gets no answer."""
    found = {"at": time.time(), "pressure": None, "level": None, "open_alerts": None, "refused_total": None}
    with contextlib.suppress(requests.RequestException):
        headers = {"Authorization": f"Bearer {key}"}
        response = requests.get(f"{url}/pgbouncer_monitor/metrics", headers=headers, timeout=SCRAPE_SECONDS)
        if response.status_code == 200:
            found |= read_metrics(response.text)
    return found


def read_metrics(text):
    """Return the figures of the metrics: the highest pressure and level of an endpoint, and sums."""
    values = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            values.setdefault(sample.name, []).append(sample.value)
    level = max(values.get("odoo_connection_level", []), default=None)
    return {
        "pressure": max(values.get("odoo_connection_pressure_ratio", []), default=None),
        "level": None if level is None else METRIC_LEVELS[int(level)],
        "open_alerts": sum(values.get("odoo_connection_open_alerts", [])),
        "refused_total": sum(values.get("odoo_connection_refused_total", [])),
    }


def by_minute(phases, scrapes, messages):
    """Return the sale minute by minute: what Locust, the metrics and the chatter have of each, as in figures.json.

    ``refused`` is the growth of the counter since the last scrape of an earlier minute, and like ``level`` and
    ``open_alerts`` None without a scrape that was answered.
    """
    seconds = [second for phase in phases for second in phase["timeline"]]
    scrapes = [scrape for scrape in scrapes if scrape["refused_total"] is not None]
    start, end = (pick(second["at"] for second in seconds) // 60 for pick in (min, max))
    found, refused_before = [], scrapes[0]["refused_total"] if scrapes else None
    for minute in range(int(start), int(end) + 1):
        of_minute = [
            [event for event in events if event["at"] // 60 == minute] for events in (seconds, scrapes, messages)
        ]
        load, readings, posted = of_minute
        row = {"minute": 60 * minute, "messages": [message["text"] for message in posted]}
        row |= {name: sum(second[name] for second in load) for name in ("requests", "failures")}
        row |= {"refused": None, "level": None, "open_alerts": None}
        if readings:
            row["refused"] = readings[-1]["refused_total"] - refused_before
            row["level"] = max((reading["level"] for reading in readings), key=severity)
            row["open_alerts"] = max(reading["open_alerts"] for reading in readings)
            refused_before = readings[-1]["refused_total"]
        found.append(row)
    return found
