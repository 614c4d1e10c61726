"""The addon's samples of a site, read with an API key over JSON-2."""

import time
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

import requests

from servers import ServerError

from .scene import describe, new_session

TIMEOUT = 30
# The sampler runs each minute. It may be late on a busy site.
LAST_SAMPLE_SECONDS = 100
FIGURES = ("used", "capacity", "waiting", "waiting_mean", "maxwait", "pressure", "refused")
FIELDS = ("sampled_at", "endpoint_id", "database", "user", "level", *FIGURES)


class SampleReader:
    """Reads the samples of a site.

    ``offset`` is how many seconds the clock of the site is ahead of this machine's.

    :param str key: of a user who is a Viewer at least
    :param str database: None if the site has only one
    """

    def __init__(self, url, key, database=None):
        self.url, self.offset = url, 0.0
        self.session = new_session()
        self.session.headers["Authorization"] = f"bearer {key}"
        if database:
            self.session.headers["X-Odoo-Database"] = database

    def read(self, model, domain, fields, **options):
        """Return rows.

        :raise ServerError: the key has no access, or the site no addon
        """
        asked = {"domain": domain, "fields": list(fields), **options}
        try:
            answer = self.session.post(f"{self.url}/json/2/{model}/search_read", json=asked, timeout=TIMEOUT)
        except requests.RequestException as error:
            raise ServerError(f"{self.url}: {describe(error)}") from None
        reasons = {
            401: "KEY is not a valid API key of this site. A user makes one in My Preferences > Security.",
            403: "The user of KEY may not read the samples: give him the role Viewer of Database Connections.",
            404: "PgBouncer Monitor is not installed on this site: leave KEY out, or name the database with DB=…",
        }
        if not answer.ok:
            raise ServerError(f"{self.url}: {reasons.get(answer.status_code, f'HTTP {answer.status_code}')}")
        if date := answer.headers.get("Date"):
            # Only whole seconds: half a second is the best guess.
            self.offset = parsedate_to_datetime(date).timestamp() + 0.5 - time.time()
        return answer.json()

    def check(self):
        """Read one sample, and learn the clock. See `read`."""
        self.read("connection.sample", [], ["sampled_at"], limit=1)

    def samples(self, started_at, ended_at):
        """Return the samples of a time, and the first one after it. All times are of this machine's clock."""
        since = to_text(started_at + self.offset)
        domain = [["period", "=", "minute"], ["sampled_at", ">=", since]]
        kinds = {row["id"]: row for row in self.read("connection.endpoint", [], ["name", "kind"])}
        rows = self.read("connection.sample", domain, FIELDS, order="sampled_at, id")
        samples = [self.sample(row, kinds) for row in rows]
        last = min((row["at"] for row in samples if row["at"] >= ended_at), default=ended_at)
        return [row for row in samples if row["at"] <= last]

    def sample(self, row, kinds):
        at = datetime.fromisoformat(row["sampled_at"]).replace(tzinfo=timezone.utc).timestamp() - self.offset
        number, name = row["endpoint_id"]
        names = {"endpoint": name, "kind": kinds.get(number, {}).get("kind")}
        names |= {field: row[field] or None for field in ("database", "user")}
        return {
            "at": at,
            **names,
            "level": row["level"],
            **{field: None if row[field] is False else row[field] for field in FIGURES},
        }

    def wait_for_samples(self, started_at, ended_at, is_interrupted):
        """Return the samples of a time as soon as there is one after it, or what there is after LAST_SAMPLE_SECONDS.

        :param threading.Event is_interrupted: ends the wait
        """
        deadline = time.monotonic() + LAST_SAMPLE_SECONDS
        while True:
            found = self.samples(started_at, ended_at)
            is_late = is_interrupted.is_set() or time.monotonic() > deadline
            if is_late or (found and found[-1]["at"] >= ended_at):
                return found
            is_interrupted.wait(2)


def to_text(at):
    """Return an instant as Odoo writes it."""
    return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
