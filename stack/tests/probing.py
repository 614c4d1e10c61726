"""One console, queried by the probe."""

import time

import pytest

from probes import session

TIMEOUT = 1.0


def read(address, command="SHOW POOLS"):
    """The rows of one command, or its SessionError."""
    reading = session.run({"only": (address, [command])}, TIMEOUT)["only"]
    answer = reading if isinstance(reading, session.SessionError) else reading.answers[command]
    if isinstance(answer, session.SessionError):
        raise answer
    return answer


def refusal(address, command="SHOW POOLS"):
    """The SessionError that must come, and after how many seconds."""
    started = time.monotonic()
    with pytest.raises(session.SessionError) as caught:
        read(address, command)
    return caught.value, time.monotonic() - started


def run_each(addresses):
    return session.run({key: (address, ["SHOW POOLS"]) for key, address in addresses.items()}, TIMEOUT)
