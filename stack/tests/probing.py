"""Query one console with the probe."""

import time

import pytest

from probes import query
from probes.errors import QueryError

TIMEOUT = 1.0


def read(address, command="SHOW POOLS"):
    """Return the rows of one command. Its QueryError is raised."""
    reading = query.run({"only": (address, [command])}, TIMEOUT)["only"]
    answer = reading if isinstance(reading, QueryError) else reading.answers[command]
    if isinstance(answer, QueryError):
        raise answer
    return answer


def refusal(address, command="SHOW POOLS"):
    """Return the QueryError, which must occur, and after how many seconds it did."""
    started = time.monotonic()
    with pytest.raises(QueryError) as caught:
        read(address, command)
    return caught.value, time.monotonic() - started


def run_each(addresses):
    return query.run({key: (address, ["SHOW POOLS"]) for key, address in addresses.items()}, TIMEOUT)
