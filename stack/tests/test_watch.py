"""Changes that the sampler sees start a LISTEN check, and alerts follow from it."""

import time

import pytest

from sampling import endpoint
from servers import MODULE, VERSIONS, ServerError
from sites import Site
from support import wait_until
from topology import session

# START_TIME of the check.
START_SECONDS = 60
DEAF = ("deaf_bus_samples", "deaf_cron_samples")


class Watch:
    """The sampler of a site, which runs on demand."""

    def __init__(self, site):
        self.call = site.page.call
        domain = [["module", "=", MODULE], ["name", "=", "ir_cron_sample"]]
        [found] = self.call("ir.model.data", "search_read", domain, ["res_id"])
        self.cron = found["res_id"]

    def run(self):
        """Run the sampler. Return listener -> the level of its newest check."""
        self.call("ir.cron", "method_direct_trigger", [self.cron])
        return {check["listener"]: check["level"] for check in self.checks()}

    def checks(self):
        return self.call("connection.check", "search_read", [], ["listener", "level"], order="checked_at, id")

    def open_alerts(self):
        are_open = [["rule", "in", DEAF], ["closed_at", "=", False]]
        alerts = self.call("connection.alert", "search_read", are_open, ["rule"])
        return sorted(alert["rule"] for alert in alerts)


def wait_for_start(site):
    site.wait_for_bus()
    time.sleep(START_SECONDS + 1)


@pytest.fixture
def site(pair, installed):
    site = Site(session("watched"), pair, installed)
    try:
        yield site.start()
    finally:
        site.stop()


@pytest.mark.long
@pytest.mark.timeout(420)
def test_override_is_removed_and_put_back(site):
    watch = Watch(site)
    assert watch.run() == {}, "Odoo has just started"
    wait_for_start(site)
    watch.run()
    wait_until(lambda: len(watch.checks()) == 2, 20)
    assert {check["level"] for check in watch.checks()} == {"ok"}
    watch.run()
    assert (len(watch.checks()), watch.open_alerts()) == (2, []), "once"

    site.pgbouncer.databases = {"postgres": None}
    site.pgbouncer.reload()
    # Its listeners were disconnected: the new pool is seen when one of them has connected again.
    wait_until(lambda: watch.run() == {"bus": "critical", "cron": "critical"}, 60)
    count = len(watch.checks())
    watch.run()
    assert (len(watch.checks()), watch.open_alerts()) == (count, [*DEAF]), "once"

    site.pgbouncer.databases = {}
    site.pgbouncer.reload()
    site.odoo.kill()
    site.odoo.start()
    wait_for_start(site)
    watch.run()
    wait_until(lambda: {check["level"] for check in watch.checks()[-2:]} == {"ok"}, 20)
    # A sample that comes early repeats the one before.
    wait_until(lambda: watch.run() and not watch.open_alerts(), 60)


@pytest.mark.parametrize("version", VERSIONS)
def test_restart_of_pgbouncer(sampler, watched_pgbouncer, version):
    """It is seen in each version, however short it runs."""
    try:
        server = watched_pgbouncer(version, {})
    except ServerError as error:
        pytest.skip(f"PgBouncer {version}: {error}")
    with endpoint(sampler, f"Restarted {version}", server) as endpoint_id:

        def restarted_at():
            sampler.run()
            of_endpoint = ["endpoint_id", "=", endpoint_id]
            [reading] = sampler.client.call("connection.reading", "search_read", [of_endpoint], ["restarted_at"])
            return reading["restarted_at"]

        assert not restarted_at()
        server.stop()
        server.start()
        seen_at = restarted_at()
        assert seen_at
        time.sleep(1)
        assert restarted_at() == seen_at, "once"
