"""Query servers from a separate process, if Odoo's environment has variables that libpq would send to them.

No connection parameter overrides PGGEQO, a newer libpq reads more variables, and a process cannot safely change its
environment while its threads read it.
"""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from .errors import QueryError
from .reading import unpack

# Variables that queries use, and variables that their connection parameters override.
USED = {"PGPASSFILE", "PGSSLCERT", "PGSSLKEY", "PGSSLROOTCERT"}
REPLACED = {
    *("PGAPPNAME", "PGCONNECT_TIMEOUT", "PGDATABASE", "PGGSSENCMODE", "PGHOST", "PGHOSTADDR", "PGOPTIONS"),
    *("PGPASSWORD", "PGPORT", "PGSSLMODE", "PGTARGETSESSIONATTRS", "PGUSER"),
}
# Reserved for the start of Python.
START_SECONDS = 0.5
SERVE = "import sys; sys.path[:0] = [sys.argv[1]]; from probes import gate; gate.serve()"


def is_needed():
    """Return whether the environment has variables for libpq that must not reach a server."""
    return any(map(_is_foreign, os.environ.keys() - USED - REPLACED))


def _is_foreign(name):
    return name.startswith("PG") and not name.startswith("PGBOUNCER_")


def run(questions, timeout, **options):
    """Have `gate.serve` run commands on several servers, in a process with a clean environment.

    :param questions: and timeout: see `query.run`
    :param options: of `gate.run`, which is called if there are any
    :return: key -> Reading, or QueryError; each key is there
    """
    request = {"questions": [[asdict(address), commands] for address, commands in questions.values()]} | options
    try:
        results = _call(request, timeout)
    except subprocess.TimeoutExpired:
        return dict.fromkeys(questions, QueryError("timeout"))
    except subprocess.CalledProcessError as error:
        return dict.fromkeys(questions, QueryError("other", error.stderr.strip().rpartition("\n")[2]))
    except (OSError, ValueError) as error:
        return dict.fromkeys(questions, QueryError("other", str(error)))
    return dict(zip(questions, map(unpack, results), strict=True))


def _call(request, timeout):
    environment = {name: value for name, value in os.environ.items() if name in USED or not name.startswith("PG")}
    done = subprocess.run(
        [sys.executable, "-c", SERVE, str(Path(__file__).parents[1])],
        input=json.dumps(request | {"timeout": timeout - START_SECONDS}),
        env=environment,
        timeout=timeout,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)
