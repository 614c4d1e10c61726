from unittest import TestCase

from findings import (
    BLOCKED,
    BUSY,
    DELIVERED,
    DIRECT,
    FAILED,
    HIDDEN,
    LOST,
    NOBODY,
    QUEUE_JOB_VERDICTS,
    REJECTED,
    SESSION_POOL,
    SILENT,
    TRANSACTION_POOL,
    UNREACHABLE,
    UNREAD,
    VERDICTS,
    found,
    found_queue_job,
)

from analysis import listening

CLIENT = {"database": "postgres", "user": "odoo", "addr": "h", "port": 5000, "remote_pid": 0}
CONSOLE = {
    "SHOW CLIENTS": [{"database": "shop", "user": "odoo", "addr": "h", "port": 5000, "remote_pid": 7}, CLIENT],
    "SHOW DATABASES": [{"name": "shop"}, {"name": "postgres", "host": "db", "port": 5432, "pool_size": 20}],
    "SHOW POOLS": [
        {"database": "postgres", "user": "other", "pool_mode": "statement"},
        {"database": "postgres", "user": "odoo", "pool_mode": "session"},
    ],
    "SHOW USERS": [{"name": "odoo", "pool_size": None}],
    "SHOW CONFIG": [{"key": "client_idle_timeout", "value": "0"}],
}


def judge(steps, is_live="", is_pooled=True):
    """Return the conclusions on the bus and on cron, as a check makes them that is the first."""
    live = {True: "yes", False: "no"}.get(steps["browser"]["is_live"], is_live)
    return listening.judge_bus(steps, live, is_pooled), listening.judge_cron(steps, is_pooled)


def codes(conclusion):
    return [sentence["code"] for sentence in conclusion.sentences], conclusion.remedies


class TestVerdicts(TestCase):
    def test_verdicts(self):
        for name, (steps, *expected) in VERDICTS.items():
            with self.subTest(name):
                conclusions = judge(steps)
                found_ones = [f"{conclusion.verdict} {conclusion.level}" for conclusion in conclusions]
                self.assertEqual(found_ones, expected)
                for conclusion in conclusions:
                    self.assertTrue(conclusion.sentences)
                    self.assertEqual(conclusion.level == "ok", not conclusion.remedies)

    def test_reasons_of_a_deaf_route(self):
        around = ["override", "alt_connection", "service", "service_proxy"]
        for result, code in (
            (LOST, "deaf_pooled"),
            (REJECTED, "deaf_rejected"),
            (LOST | {"is_pooled": False}, "deaf_lost"),
        ):
            bus, cron = judge(found(result, bus=result, delay=None, job=None))
            self.assertEqual(codes(bus), ([code], around))
            self.assertEqual(codes(cron), ([code], ["override"]), "nothing leads the cron workers around a pooler")
            self.assertEqual(bus.sentences[0]["detail"], result["detail"])

    def test_unreachable(self):
        """Without a pooler, an override in pgbouncer.ini would be useless."""
        steps = found(UNREACHABLE, bus=UNREACHABLE, delay=None, job=None)
        for is_pooled, remedy in ((True, "override"), (False, "role")):
            for conclusion in judge(steps, is_pooled=is_pooled):
                self.assertEqual(codes(conclusion), (["unreachable"], [remedy]))

    def test_figures(self):
        bus, cron = judge(found(DIRECT, bus=DIRECT, job=DIRECT, delay=0.25, waited=0.5))
        self.assertEqual(bus.sentences, [{"code": "direct", "delay": 0.25}])
        self.assertEqual(cron.sentences, [{"code": "direct", "delay": 0.5}])

    def test_bus_process_that_is_not_found(self):
        bus, _cron = judge(found(bus=None))
        self.assertEqual(codes(bus), (["step"], ["proxy"]))
        self.assertEqual(bus.sentences[0]["step"]["name"], "bus")

    def test_nobody_can_notify(self):
        for here in (BLOCKED, FAILED, REJECTED, UNREACHABLE):
            bus, _cron = judge(found(here, bus=DIRECT, job=None))
            self.assertEqual(
                (bus.verdict, bus.level, *codes(bus)), ("direct", "critical", ["cannot_notify"], ["override"])
            )
        bus, _cron = judge(found(LOST, bus=DIRECT, job=None))
        self.assertEqual(bus.level, "ok", "a NOTIFY was sent, though it was lost here")

    def test_old_connections(self):
        bus, cron = judge(found(delay=None, job=None))
        self.assertEqual(codes(bus), (["old_connection"], ["restart"]))
        self.assertEqual(codes(cron), (["not_woken"], ["restart"]))

    def test_browser(self):
        """What the last browser received is valid until another one receives something else."""
        for live, before, level in (
            (True, "no", "ok"),
            (None, "yes", "ok"),
            (None, "", "ok"),
            (None, "no", "critical"),
            (False, "yes", "critical"),
        ):
            self.assertEqual(judge(found(live=live), before)[0].level, level, (live, before))

    def test_reverse_proxy_that_passes_to_another_process(self):
        steps = found()
        steps["bus"]["misled"] = ["https://odoo.example.com"]
        bus, cron = judge(steps)
        self.assertEqual((bus.level, *codes(bus)), ("critical", ["session", "not_in_browser"], ["proxy"]))
        self.assertEqual(cron.level, "ok")

    def test_process_that_was_reached_on_its_own_host(self):
        for live, level in ((None, "warning"), (True, "ok")):
            steps = found(live=live)
            steps["bus"]["is_direct"] = True
            self.assertEqual(judge(steps)[0].level, level)

    def test_outlook(self):
        for level in ("warning", "unknown"):
            steps = found(pool=SESSION_POOL)
            steps["slots"]["level"] = level
            for conclusion in judge(steps):
                self.assertEqual((conclusion.level, *codes(conclusion)), ("warning", ["session", "step"], ["override"]))
        steps = found(DIRECT, bus=DIRECT, job=DIRECT)
        steps["slots"]["level"] = "unknown"
        self.assertEqual([conclusion.level for conclusion in judge(steps)], ["ok", "ok"], "a direct one needs no pool")
        steps["listeners"]["deaf"] = 1
        for conclusion in judge(steps):
            self.assertEqual((conclusion.level, *codes(conclusion)), ("warning", ["direct", "step"], ["restart"]))
            self.assertEqual(conclusion.sentences[1]["step"]["name"], "listeners")

    def test_scheduled_check_without_a_job(self):
        steps = found()
        del steps["cron"]
        self.assertEqual(judge(steps)[1].verdict, "unknown")


class TestQueueJob(TestCase):
    def test_verdicts(self):
        for name, (step, expected) in QUEUE_JOB_VERDICTS.items():
            with self.subTest(name):
                conclusion = listening.judge_queue_job(step)
                self.assertEqual(f"{conclusion.verdict} {conclusion.level}", expected)
                self.assertTrue(conclusion.sentences)
                self.assertEqual(conclusion.level == "ok", not conclusion.remedies)

    def test_reasons(self):
        for step, *expected in (
            (found_queue_job(DIRECT), ["direct"], []),
            (found_queue_job(DIRECT, is_here=False), ["standby_direct"], []),
            (found_queue_job(DELIVERED), ["session", "unwatched"], ["queue_job"]),
            (found_queue_job(BLOCKED, NOBODY, SESSION_POOL), ["full"], ["queue_job"]),
            (found_queue_job(LOST, NOBODY), ["deaf_pooled"], ["queue_job"]),
            (found_queue_job(LOST), ["deaf_pooled", "still_working"], ["queue_job"]),
            (found_queue_job(DIRECT, SILENT), ["not_reacting"], ["end_holder"]),
            (found_queue_job(None, SILENT), ["not_reacting"], ["queue_job", "end_holder"]),
            (found_queue_job(DIRECT, NOBODY), ["no_runner"], ["runner_log"]),
            (found_queue_job(None, NOBODY), ["no_runner"], ["load_runner"]),
            (found_queue_job(DIRECT, HIDDEN), ["hidden"], ["see_runner"]),
            (found_queue_job(DIRECT, BUSY), ["busy"], ["again"]),
            (found_queue_job(DIRECT, UNREAD), ["unknown"], ["again"]),
            (found_queue_job(None), ["elsewhere"], ["check_elsewhere"]),
        ):
            self.assertEqual(codes(listening.judge_queue_job(step)), tuple(expected))

    def test_figures(self):
        self.assertEqual(listening.judge_queue_job(found_queue_job(DIRECT)).sentences[0]["delay"], 0.03)


class TestFigures(TestCase):
    def test_woken(self):
        one, two, three = (["host", 1, 1], ["host", 2, 1], ["host", 1, 2])
        self.assertTrue(listening.is_woken([0.1, 0.2, 0.1], [one, two, one]))
        self.assertFalse(listening.is_woken([0.1, 0.2, 0.1], [one, two, three]), "each by its timer")
        self.assertFalse(listening.is_woken([0.1, 5, 0.1], [one, two, one]), "late")

    def test_slots(self):
        for pool, is_pooled, expected in (
            (None, False, ("unneeded", "ok")),
            (None, True, ("unwatched", "unknown")),
            (None, None, ("unwatched", "unknown")),
            (TRANSACTION_POOL, True, ("unneeded", "ok")),
            (SESSION_POOL, True, ("enough", "ok")),
            (SESSION_POOL | {"client_idle_timeout": None}, True, ("enough", "ok")),
            (SESSION_POOL | {"client_idle_timeout": "30"}, True, ("cut_off", "warning")),
            (SESSION_POOL | {"pool_size": None}, True, ("unknown", "unknown")),
            (SESSION_POOL | {"pool_size": 3}, True, ("too_small", "warning")),
            (SESSION_POOL | {"pool_size": 4}, True, ("tight", "ok")),
            (SESSION_POOL | {"pool_size": 5}, True, ("enough", "ok")),
        ):
            self.assertEqual(listening.slots(pool, is_pooled, 3, 2), expected)


class TestPool(TestCase):
    def pool(self, own_end=("h", 5000), pid=7, **answers):
        console = CONSOLE | {f"SHOW {name.upper()}": rows for name, rows in answers.items()}
        return listening.pool_of(own_end, pid, "postgres", console)

    def test_pool(self):
        wanted = {"pool_mode": "session", "pool_size": 20, "client_idle_timeout": "0", "server": ("db", 5432)}
        self.assertEqual(self.pool(), wanted)
        self.assertEqual(self.pool(["h", 5000]), wanted)

    def test_client_that_is_not_there(self):
        self.assertIsNone(self.pool(("h", 5001)))
        self.assertIsNone(self.pool(None, 8))
        self.assertIsNone(self.pool(None), "that process is a client of another database")
        self.assertIsNone(self.pool(clients=[]))

    def test_unix_socket(self):
        self.assertEqual(self.pool(None, clients=[CLIENT | {"addr": "unix", "remote_pid": 7}])["pool_mode"], "session")

    def test_pool_of_another_user(self):
        databases = [{"name": "postgres", "force_user": "other", "pool_size": 20}]
        users = [{"name": "other", "pool_size": 3}]
        pool = self.pool(databases=databases, users=users)
        self.assertEqual((pool["pool_mode"], pool["pool_size"]), ("statement", 3))

    def test_rows_that_are_missing(self):
        pool = self.pool(databases=[], pools=[], users=[], config=[])
        self.assertEqual(
            pool, {"pool_mode": None, "pool_size": None, "client_idle_timeout": None, "server": (None, None)}
        )
