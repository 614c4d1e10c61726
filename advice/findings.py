"""The shapes of what rules find."""

from dataclasses import dataclass, field
from typing import NamedTuple

# The worst first.
LEVELS = ("critical", "warning", "hint", "unknown")


class Unknown(Exception):
    """A rule cannot judge.

    :ivar str needs: what it needs, as a code; its words are in the models:

        - ``console``: an answer of the console ``name``
        - ``servers``: connections of the console ``name`` to its servers, which show where they are
        - ``pools``: a pool of the console ``name`` with Odoo's database, which shows who uses it
        - ``setting``: ``setting`` of SHOW CONFIG, which this version does not have, or reports in another form
        - ``postgresql``: an answer of PostgreSQL
        - ``postgresql_setting``: PostgreSQL's own value of ``setting``, which it does not show to sessions for which
          another one is set, or in a known form
        - ``sessions``: PostgreSQL 14, the first one that counts sessions
        - ``local``: PostgreSQL on this host
        - ``unix_socket``: the endpoint's host must be the directory of the unix socket, or PgBouncer run on this host
        - ``processes``: the processes of PgBouncer on the host of the console ``name``
        - ``history``: ``days`` of samples
        - ``history_unread``: the samples, which could not be read in time
        - ``clients``: all PgBouncers must be endpoints that answer, to see all hosts
        - ``pgbouncer``: an active endpoint for the PgBouncer that Odoo connects through
        - ``runner``: the Odoo server that runs queue_job's runner
        - ``runner_address``: an address of queue_job's runner that is that of an endpoint, or known to be PostgreSQL's
        - ``failed``: a value that the rule did not foresee: ``error`` is the class of the exception
        - ``databases``: answers of all other databases with sessions, of at most ``limit``
        - ``hba``: the rules of auth_hba_file, which the console does not report
    :ivar dict figures: the numbers and names to put into its words
    """

    def __init__(self, needs, figures=None):
        super().__init__(needs)
        self.needs, self.figures = needs, figures or {}


class Step(NamedTuple):
    """A part of a remedy: lines to paste.

    :param str place: where: "pgbouncer" and "users" (sections of pgbouncer.ini), "databases" (that section: to add to
        the line of a database, and to keep what else it has), "console" (PgBouncer's), "psql" (as a superuser of
        PostgreSQL), "odoo" (section [options] of odoo.conf), "queue_job" (a section of odoo.conf), "environment"
        (variables of Odoo's service), "shell"
    :param tuple lines: to paste, as they are
    :param str apply: what makes them take effect: "reload" (PgBouncer), "reconnect" (RELOAD, then RECONNECT),
        "restart" (PgBouncer), "odoo" (restart it), "postgresql" (restart it), "" (nothing: they take effect at once, or
        the lines do it)
    """

    place: str
    lines: tuple
    apply: str = ""


@dataclass(frozen=True)
class Finding:
    """What a rule found.

    :param str code: of its words, which are in the models; the name of the rule, or that with an ending
    :param str level: "critical", "warning" or "hint"
    :param int console: the key of the Console that it is about; None for PostgreSQL, Odoo and the watch itself
    :param tuple databases: the databases that it is about, all of them
    :param str setting: the setting that it is about
    :param dict evidence: the values seen, of JSON types, to put into words. If one of them changes, the finding is
        another one: an accepted one comes back
    :param dict figures: the same, but their changes are no news: what is measured
    :param tuple steps: Steps of the remedy; empty if there is nothing to paste
    """

    code: str
    level: str
    console: int | None = None
    databases: tuple = ()
    setting: str = ""
    evidence: dict = field(default_factory=dict)
    figures: dict = field(default_factory=dict)
    steps: tuple = ()


class Gap(NamedTuple):
    """What could not be judged.

    :param str rule: the name of the rule
    :param int console: see Finding
    :param str needs: and ``figures``, see Unknown
    """

    rule: str
    console: int | None
    needs: str
    figures: dict
