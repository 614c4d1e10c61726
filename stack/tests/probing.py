"""Query one console with the probe."""

import time

import pytest

from probes import session

TIMEOUT = 1.0


def read(address, command="SHOW POOLS"):
    """Return the rows of one command. Its SessionError is raised."""
    reading = session.run({"only": (address, [command])}, TIMEOUT)["only"]
    answer = reading if isinstance(reading, session.SessionError) else reading.answers[command]
    if isinstance(answer, session.SessionError):
        raise answer
    return answer


def refusal(address, command="SHOW POOLS"):
    """Return the SessionError, which must occur, and after how many seconds it did."""
    started = time.monotonic()
    with pytest.raises(session.SessionError) as caught:
        read(address, command)
    return caught.value, time.monotonic() - started


def run_each(addresses):
    return session.run({key: (address, ["SHOW POOLS"]) for key, address in addresses.items()}, TIMEOUT)
