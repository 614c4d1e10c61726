"""The known vulnerabilities of PgBouncer, since version 1.15.

Source of all: https://www.pgbouncer.org/changelog.html, sections "Security", up to 1.26.1 of 2026-10-14.
"""

from collections.abc import Callable
from typing import NamedTuple

from ..planner.statements import AUTH_USER

# With md5, a user whose secret is a SCRAM one logs in with SCRAM; the rules of auth_hba_file may require it.
_SCRAM = ("scram-sha-256", "md5", "hba")
_PACKET_SIZE = 2_147_483_649
# Its condition is only half known: an auth_query of one's own may check VALID UNTIL, as the planner's does.
EXPIRY = "CVE-2025-2291"


class Vulnerability(NamedTuple):
    """A known vulnerability.

    :param str cve: its identifier
    :param tuple since: the first version that has it
    :param tuple fixed: the first one that does not
    :param is_met: whether settings meet its conditions, as a function of name -> text; None for no conditions
    """

    cve: str
    since: tuple
    fixed: tuple
    is_met: Callable | None = None


def _uses_scram(settings):
    return settings.get("auth_type") in _SCRAM


def _uses_certificates(settings):
    return settings.get("auth_type") in ("cert", "hba")


def _looks_passwords_up(settings):
    return settings.get("auth_user") not in (None, "", AUTH_USER)  # the planner's auth_query checks VALID UNTIL


def _tracks_search_path(settings):
    return "search_path" in (settings.get("track_extra_parameters") or "") and _looks_passwords_up(settings)


def _parses_options(settings):
    ignored = settings.get("ignore_startup_parameters") or ""
    return bool(ignored) and "options" not in ignored


def _reads_large_packets(settings):
    size = settings.get("max_packet_size") or ""
    return size.isdigit() and int(size) >= _PACKET_SIZE


VULNERABILITIES = (
    Vulnerability("CVE-2021-3935", (1,), (1, 16, 1), _uses_certificates),
    Vulnerability(EXPIRY, (1,), (1, 24, 1), _looks_passwords_up),
    Vulnerability("CVE-2025-12819", (1,), (1, 25, 1), _tracks_search_path),
    Vulnerability("CVE-2026-6664", (1,), (1, 25, 2)),
    Vulnerability("CVE-2026-6665", (1,), (1, 25, 2)),
    Vulnerability("CVE-2026-6666", (1,), (1, 25, 2)),
    # KILL_CLIENT exists since 1.24.
    Vulnerability("CVE-2026-6667", (1, 24), (1, 25, 2)),
    Vulnerability("CVE-2026-6668", (1,), (1, 26, 0)),
    Vulnerability("CVE-2026-6669", (1,), (1, 26, 0)),
    Vulnerability("CVE-2026-19888", (1,), (1, 26, 0)),
    Vulnerability("CVE-2026-107348", (1, 21), (1, 26, 1), _reads_large_packets),
    Vulnerability("CVE-2026-107349", (1, 20), (1, 26, 1), _parses_options),
    Vulnerability("CVE-2026-107350", (1, 17), (1, 26, 1), _uses_scram),
)


def vulnerabilities(version, settings):
    """Return the Vulnerabilities that a PgBouncer has, unless its package has fixed them without a new version number.

    :param tuple version: such as (1, 24, 1)
    :param dict settings: SHOW CONFIG: name -> text
    """
    return [
        known
        for known in VULNERABILITIES
        if known.since <= version < known.fixed and (known.is_met is None or known.is_met(settings))
    ]


def describe(found):
    """Return what is shown of Vulnerabilities: their identifiers, and the version that fixes all of them."""
    return ", ".join(known.cve for known in found), ".".join(map(str, max(known.fixed for known in found)))
