"""A topology: how an Odoo is connected, and what must be seen there."""

from collections.abc import Callable
from dataclasses import dataclass, field

# The moments, by the seconds of silence before each: no chat message, no job, no check. Odoo's dispatcher sleeps for
# 50 s after it has lost its connection, and the timer of a cron worker is a minute.
SILENCES = (0, 70, 130)
# What is quiet for 50 s is lost: a moment that begins so much later, or lasts so long, is another one.
LATE_SECONDS, LONG_SECONDS = 20, 40
# The truth at these moments; None for either.
LIVE, DEAD, EITHER = (True,) * 3, (False,) * 3, (None,) * 3


@dataclass(frozen=True, eq=False)
class Topology:
    """How an Odoo is connected, and what must be seen there.

    A *route* is "pool" for PgBouncer, "direct" for PostgreSQL, "firewall" for PostgreSQL behind one that drops quiet
    connections, or "cluster" for another PostgreSQL. What is expected of
    the check besides the rule of `differences` is the verdicts ``bus`` and ``cron``, and ``level``, which is the bus's:
    None for any.

    :param tuple chat: whether a chat message arrives live at every browser, for each of SILENCES
    :param tuple job: whether a triggered job starts at once
    :param tuple checked_by: who checks: "browser", "blocked" for one whose network blocks websockets, "rpc", or
        "scheduled" for the scheduled action
    :param int doubtful: from which of SILENCES on it is wrong that the bus is OK even if it is live, because it does
        not last
    :param str postgres: the end of PgBouncer's line for the database postgres; None for no line, False for no PgBouncer
    :param str later: how PgBouncer gets this line ("reload" or "restart"), if Odoo does not start with it: it starts in
        session mode
    :param str inner: the same for a second PgBouncer, behind the first
    :param dict settings: of PgBouncer; ``users``: its lines of ``[users]``
    :param bool is_watched: whether PgBouncer is an endpoint
    :param dict options: of odoo.conf
    :param str route: of Odoo; ``alt``: of bus_alt_connection; ``buses``: of gevent services of their own;
        ``second_host``: of another Odoo, on a host of its own
    :param str proxied: who connects through a TCP proxy, "odoo" or "pgbouncer"; ``timeout`` is the proxy's
    :param bool is_alone: whether its PostgreSQL is its own: the NOTIFYs of other sites keep quiet connections busy
    :param str role_setting: of its own PostgreSQL, on Odoo's role
    :param dict nginx: its parameters; ``sticky``: HAProxy is there instead, and knows a browser by its "cookie" or its
        "source"
    :param after: what happens to the Site when it has started and the bus listens
    """

    name: str
    chat: tuple
    job: tuple
    bus: str | None = None
    cron: str | None = None
    level: str | None = None
    checked_by: tuple = ("browser",)
    doubtful: int | None = None
    postgres: str | bool | None = "pool_mode=session"
    later: str | None = None
    inner: str | None = None
    settings: dict = field(default_factory=dict)
    users: dict = field(default_factory=dict)
    suite: str | None = None
    is_unix: bool = False
    is_tls: bool = False
    is_watched: bool = True
    options: dict = field(default_factory=dict)
    route: str = "pool"
    alt: str | None = None
    buses: tuple = ()
    second_host: str | None = None
    proxied: str | None = None
    timeout: str = "50s"
    is_alone: bool = False
    role_setting: str | None = None
    nginx: dict = field(default_factory=dict)
    sticky: str | None = None
    is_misled: bool = False
    after: Callable | None = None

    @property
    def silences(self):
        """Return those of SILENCES that matter: silence breaks what works, and repairs nothing."""
        return SILENCES[:1] if self.level == "critical" or "scheduled" in self.checked_by else SILENCES

    @property
    def is_long(self):
        """Return whether it must start early: it takes a minute even without silences, or a PostgreSQL that is copied
        before the databases of other sites are created."""
        return self.is_alone or "scheduled" in self.checked_by


def direct(name, **values):
    return Topology(name, LIVE, LIVE, **{"postgres": False, "bus": "direct", "cron": "direct", "level": "ok"} | values)


def session(name, **values):
    return Topology(name, LIVE, LIVE, **{"bus": "session", "cron": "session", "level": "ok"} | values)


def deaf(name, **values):
    expected = {"bus": "deaf", "cron": "deaf", "level": "critical"}
    return Topology(name, DEAD, DEAD, **{"postgres": ""} | expected | values)


def no_chat(name, **values):
    """Return a topology in which no chat message arrives live, whoever listens, but jobs start."""
    return Topology(name, DEAD, LIVE, level="critical", **values)


@dataclass
class Seen:
    """What was seen at one moment.

    :param int moment: index of SILENCES
    :param float silence: the seconds of silence before
    :param float duration: the seconds that all of this took
    :param float chat: seconds until a chat message arrived at every browser, None if it did not
    :param float job: the same until a triggered job started
    :param list checks: of each check: listener -> record
    :param bool is_repeated: whether it was seen again, see `is_slow`
    """

    moment: int
    silence: float
    duration: float
    chat: float | None
    job: float | None
    checks: list
    is_repeated: bool = False

    def is_late(self, topology):
        """Return whether it was seen when quiet connections were in another state, because the machine was slow."""
        delay = self.silence - SILENCES[self.moment]
        return topology.is_alone and (delay > LATE_SECONDS or self.duration > LONG_SECONDS)

    def is_slow(self, topology):
        """Return whether it may be wrong only because the machine is slow: then a check finds less that works, never
        more. What silence has changed cannot be seen again."""
        wrong = self.differences(topology)
        is_too_good = any(": ok" in text for text in wrong)
        return bool(wrong) and not is_too_good and not (topology.is_alone and self.moment)

    def differences(self, topology):
        """Return a sentence for each result that is wrong."""
        return [text for checks in self.checks for text in self.errors(topology, checks)]

    def errors(self, topology, checks):
        """Return a sentence for each result of a check, and each fact, that is wrong. In any topology it is wrong that
        a check is OK although the truth is dead, or critical although it is live and does not change."""
        bus, cron = checks["bus"], checks["cron"]
        violations = [
            f"{check['listener']}: {check['level']}, but {'dead' if delay is None else 'live'}"
            for check, delay, expected in (
                (bus, self.chat, topology.chat[self.moment]),
                (cron, self.job, topology.job[self.moment]),
            )
            if check["level"] == ("ok" if delay is None else "critical" if expected is not None else None)
        ]
        if self.chat is not None and topology.doubtful is not None and topology.doubtful <= self.moment:
            violations += ["bus: ok, but it does not last"] * (bus["level"] == "ok")
        chat, job = (None, None) if self.is_late(topology) else (topology.chat[self.moment], topology.job[self.moment])
        expected = (
            ("bus", bus["verdict"], topology.bus),
            ("level", bus["level"], topology.level),
            ("cron", cron["verdict"], topology.cron),
            ("chat arrives live", self.chat is not None, chat),
            ("job starts at once", self.job is not None, job),
        )
        return violations + [
            f"{what}: {actual}, expected {value}" for what, actual, value in expected if value not in (None, actual)
        ]
