"""The tested versions of PgBouncer."""

import functools
import shutil
import tempfile
from pathlib import Path

import pytest

from servers import (
    VERSIONS,
    PgBouncer,
    ServerError,
    data_root,
    free_port,
    make_folder,
    suite_root,
)


@pytest.fixture(scope="module", params=VERSIONS.items(), ids=" of ".join)
def suite(request):
    """The Debian suite of each tested version."""
    version, suite = request.param
    try:
        suite_root(suite)
    except ServerError as error:
        pytest.skip(f"PgBouncer {version}: {error}")
    return suite


@pytest.fixture(scope="module")
def pgbouncer(suite, pair, tmp_path_factory):
    """A running PgBouncer of that suite, for the tests that do not break it."""
    root = Path(tempfile.mkdtemp(dir=make_folder(data_root())))
    server = PgBouncer(root, free_port(), pair.postgresql, pair.passwords, suite=suite)
    yield server.start()
    server.stop()
    shutil.rmtree(root)


@pytest.fixture
def new_pgbouncer(new_pgbouncer, suite):
    """A function that starts one more PgBouncer of that suite, which the test may break."""
    return functools.partial(new_pgbouncer, suite=suite)
