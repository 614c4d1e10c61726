"""Every tested version of PgBouncer, all monitored by one Odoo."""

import shutil
import tempfile
from pathlib import Path

import pytest

from rpc import OdooClient
from servers import VERSIONS, ServerError, data_root, make_folder
from support import add_endpoint, direct_odoo
from watched import Watched


@pytest.fixture(scope="module")
def odoo(pair, installed):
    """An Odoo that sees all sessions, and its administrator."""
    pair.postgresql.execute(f"CREATE DATABASE versions TEMPLATE {installed} OWNER odoo", "GRANT pg_monitor TO odoo")
    odoo = direct_odoo(pair, "versions", db_name="versions").start()
    yield OdooClient(odoo.url, "versions")
    odoo.stop()
    assert odoo.warnings() == []
    pair.postgresql.execute("REVOKE pg_monitor FROM odoo", "DROP DATABASE versions WITH (FORCE)")


@pytest.fixture(scope="module", params=VERSIONS.items(), ids=" of ".join)
def watched(request, pair, odoo):
    version, suite = request.param
    root = Path(tempfile.mkdtemp(dir=make_folder(data_root())))
    try:
        watched = Watched(suite, pair, make_folder(root))
    except ServerError as error:
        pytest.skip(f"PgBouncer {version}: {error}")
    watched.endpoint_id = add_endpoint(odoo, pair, f"PgBouncer {version}", watched.server)
    yield watched
    odoo.call("connection.endpoint", "unlink", [watched.endpoint_id])
    watched.stop()
    shutil.rmtree(root)


@pytest.fixture(scope="module")
def busy(watched):
    watched.open_clients()
    return watched
