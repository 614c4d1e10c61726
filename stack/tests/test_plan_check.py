"""The planner's figures, compared with real servers. `make plan-check` has more of them."""

from dataclasses import replace

import pytest

from plan_check import Measurements, Row
from plan_load import SETUP
from planner.inputs import Inputs
from servers import free_port
from support import direct_odoo


@pytest.mark.timeout(300)
def test_predicted_is_measured(pair, new_database, folder):
    template, options = new_database("plan"), pair.odoo_options() | {"db_port": pair.postgresql.port}
    direct_odoo(pair, "plan").run("shell", "-d", template, "--no-http", input=SETUP.encode())
    replica = pair.postgresql.copy(folder / "replica", free_port(), is_standby=True)
    measurements = Measurements(folder, pair.postgresql, replica, options, template)
    try:
        replica.start()
        narrow = Inputs(workers=0, requests=10, max_cron_threads=1, db_maxconn=8)
        multi = Inputs(workers=2, max_cron_threads=2, gevent_connections=2)
        rows = list(measurements.measure_all([narrow, multi, replace(multi, has_replica=True)]))
    finally:
        replica.stop()
    assert all(row.is_correct for row in rows), "\n".join(map(str, rows))
    [threaded, alone, primary, on_replica] = rows
    assert threaded.measured == threaded.ceiling == 8, "the load exhausts a pool"
    assert [bool(row.failed) for row in rows] == [True, False, False, False]
    assert alone.measured > primary.measured >= 11 and on_replica.measured >= 6, "all that can be busy is busy"


def test_tolerance():
    def is_correct(expected, measured, ceiling=100):
        return Row(Inputs(), "primary", expected, measured, ceiling, 0).is_correct

    assert is_correct(10, 12) and is_correct(12, 10) and not is_correct(10, 13)
    assert is_correct(40, 50) and not is_correct(39, 50)
    assert is_correct(10, 10, ceiling=10) and not is_correct(10, 10, ceiling=9)
