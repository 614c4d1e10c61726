"""The reasons of error messages, as psycopg2 hands them over."""

import psycopg2
import pytest

from probes.errors import query_error

CONNECTION = 'connection to server at "127.0.0.1", port 6432 failed: '


@pytest.mark.parametrize(
    ("message", "console", "postgresql"),
    [
        ("FATAL:  password authentication failed", "wrong_password", "wrong_password"),
        ('FATAL:  password authentication failed for user "stats"', "wrong_server", "wrong_password"),
        ("FATAL:  not allowed", "not_allowed", "not_allowed"),
        ("FATAL:  pgbouncer cannot connect to server", "other", "other"),
        ("FATAL:  bouncer config error", "unknown_user", "unknown_user"),
        ("FATAL:  sorry, too many clients already", "wrong_server", "full"),
        ("FATAL:  Passwort-Authentifizierung für Benutzer »stats« fehlgeschlagen", "wrong_server", "other"),
        ("Connection refused\n\tIs the server running on that host?", "refused", "refused"),
        ("FATAL:  something unseen until now", "other", "other"),
    ],
)
def test_reason(message, console, postgresql):
    error = psycopg2.OperationalError(CONNECTION + message)
    assert (query_error(error, "stats").reason, query_error(error).reason) == (console, postgresql)


def test_detail():
    error = query_error(psycopg2.OperationalError("FATAL:  no such database: shop\nmore lines"), "stats")
    assert error.detail == "no such database: shop"
    assert query_error(psycopg2.OperationalError("fe_sendauth: no password supplied"), "stats", True).reason == (
        "no_password"
    )
