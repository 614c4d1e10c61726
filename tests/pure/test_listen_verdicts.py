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
    UNREACHABLE,
    UNREAD,
    VERDICTS,
    found,
    found_queue_job,
    process,
)

from analysis import listen_verdicts


def judge(steps, is_pooled=True):
    """Return the conclusions on the bus and on cron."""
    return listen_verdicts.judge_bus(steps, is_pooled), listen_verdicts.judge_cron(steps, is_pooled)


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
        self.assertEqual(codes(bus), (["step", "in_browser"], ["proxy"]))
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
        steps = found(delay=None)
        steps["bus"]["processes"][0]["cuts"] = [[1.0, "closed"]]
        self.assertEqual(codes(judge(steps)[0]), (["old_connection", "cuts"], ["keep_open"]))
        self.assertEqual(codes(cron), (["not_woken"], ["idle"]))

    def test_reach(self):
        """The bus receives notifications: do browsers?"""
        for live, is_open, websockets, is_proxied, expected in (
            (True, False, 0, True, ("ok", [], [])),
            (None, True, 0, True, ("ok", [], [])),
            (None, False, 3, False, ("ok", [], [])),
            (False, True, 0, True, ("warning", ["not_in_this_browser"], ["browser"])),
            (False, False, 3, True, ("warning", ["not_in_this_browser"], ["browser"])),
            (False, False, 0, False, ("critical", ["not_in_browser"], ["proxy"])),
            (False, None, 0, False, ("critical", ["not_in_browser"], ["proxy"])),
            (None, False, 0, True, ("critical", ["not_in_browser"], ["proxy"])),
            (None, False, 0, False, ("warning", ["no_browser"], ["proxy"])),
            (None, None, 0, True, ("warning", ["no_browser"], ["proxy"])),
        ):
            steps = found(live=live, is_open=is_open)
            steps["bus"]["is_proxied"] = is_proxied
            steps["bus"]["processes"][0]["websockets"] = websockets
            bus, cron = judge(steps)
            level, more, remedies = expected
            with self.subTest((live, is_open, websockets, is_proxied)):
                self.assertEqual((bus.level, *codes(bus)), (level, ["session", *more], remedies))
                self.assertEqual(cron.level, "ok")

    def test_bus_process_that_does_not_run(self):
        for live, is_refused, is_open, verdict in (
            (None, True, False, "deaf critical"),
            (False, True, False, "deaf critical"),
            (None, True, None, "unknown unknown"),
            (None, False, False, "unknown unknown"),
            (True, True, False, "unknown unknown"),
        ):
            steps = found(bus=None, live=live, is_open=is_open)
            steps["bus"]["is_refused"] = is_refused
            bus, _cron = judge(steps)
            self.assertEqual(f"{bus.verdict} {bus.level}", verdict)

    def test_one_of_several_processes(self):
        """The worst counts, whichever was queried first."""
        deaf = process(LOST, None, host="other", pid=8)
        for processes in ([process(), deaf], [deaf, process()]):
            steps = found()
            steps["bus"]["processes"] = processes
            bus, _cron = judge(steps)
            self.assertEqual((bus.verdict, bus.level), ("deaf", "critical"))
            one = {"code": "one_of", "bad": 1, "count": 2, "host": "other", "pid": 8, "port": 8072}
            self.assertEqual(bus.sentences[0], one)

    def test_bus_that_listens_elsewhere(self):
        """It receives its own notifications only: those of messages are sent to another database or server."""
        for elsewhere in ({"database": "other"}, {"started_at": 1_700_000_777.0}):
            bus, _cron = judge(found(bus=DIRECT | elsewhere, delay=None))
            self.assertEqual((bus.verdict, bus.level, *codes(bus)), ("deaf", "critical", ["apart"], ["apart"]))
        bus, _cron = judge(found(bus=DIRECT | {"started_at": None}, delay=None))
        self.assertEqual(codes(bus)[0], ["old_connection"], "where it listens is unknown")

    def test_missed_notifications(self):
        """One that arrives by chance is no proof."""
        steps = found()
        steps["bus"]["processes"][0]["missed"] = 1
        bus, _cron = judge(steps)
        self.assertEqual((bus.verdict, bus.level, codes(bus)[0]), ("deaf", "critical", ["missed"]))

    def test_old_connections_that_still_work(self):
        """Nobody is deaf yet."""
        for conclusion in judge(found(LOST, bus=LOST, job=LOST)):
            self.assertEqual((conclusion.level, codes(conclusion)[0]), ("warning", ["only_old", "deaf_pooled"]))

    def test_outlook(self):
        for level in ("warning", "unknown"):
            steps = found(pool=SESSION_POOL)
            steps["slots"] |= {"here": level, "bus": level}
            for conclusion in judge(steps):
                self.assertEqual((conclusion.level, *codes(conclusion)), ("warning", ["session", "step"], ["override"]))
        steps = found(DIRECT, bus=DIRECT, job=DIRECT)
        steps["slots"] |= {"here": "unknown", "bus": "unknown"}
        self.assertEqual([conclusion.level for conclusion in judge(steps)], ["ok", "ok"], "a direct one needs no pool")
        steps["listeners"]["unasked"] = 1
        for conclusion in judge(steps):
            self.assertEqual(
                (conclusion.level, *codes(conclusion)), ("warning", ["direct", "unasked"], ["each_server"])
            )

    def test_pool_of_each_route(self):
        steps = found(bus=DELIVERED, job=DIRECT)
        steps["slots"] |= {"here": "ok", "bus": "unknown"}
        self.assertEqual([conclusion.level for conclusion in judge(steps)], ["warning", "ok"])

    def test_deaf_cron_workers(self):
        """One worker that receives notifications does not prove it for all. The bus is not concerned."""
        steps = found()
        steps["listeners"]["deaf_cron"] = ["10.0.0.9:4711"]
        bus, cron = judge(steps)
        self.assertEqual((bus.level, cron.level, codes(cron)[0]), ("ok", "warning", ["session", "deaf_workers"]))

    def test_pool_that_is_stopped(self):
        """It is not full."""
        for state in ("paused", "disabled"):
            stopped = SESSION_POOL | {"state": state}
            for conclusion in judge(found(BLOCKED, stopped, bus=BLOCKED, delay=None, job=None)):
                self.assertEqual(
                    (conclusion.verdict, conclusion.level, *codes(conclusion)),
                    ("unreachable", "critical", [state], conclusion.remedies),
                )
                self.assertIn("override", conclusion.remedies)

    def test_idle_timeout(self):
        """A cron worker is replaced within seconds, and jobs that are triggered meanwhile wait for its timer."""
        short = DIRECT | {"idle_timeout": 50.0}
        for conclusion in judge(found(short, bus=short, job=short)):
            self.assertEqual(
                (conclusion.level, *codes(conclusion)), ("warning", ["direct", "idle_timeout"], ["idle_timeout"])
            )

    def test_silence(self):
        for outcome, levels in (
            ("delivered", ["ok", "ok"]),
            ("lost", ["warning", "warning"]),
            ("failed", ["warning", "warning"]),
            ("blocked", ["ok", "ok"]),  # that is about the pool
        ):
            steps = found()
            steps["silence"] = dict.fromkeys(("bus", "cron"), DELIVERED | {"outcome": outcome})
            self.assertEqual([conclusion.level for conclusion in judge(steps)], levels, outcome)

    def test_connection_that_is_cut_again_and_again(self):
        steps = found()
        steps["bus"]["processes"][0]["cuts"] = [[1.0, "closed"]]
        bus, cron = judge(steps)
        self.assertEqual((bus.level, codes(bus)[0], cron.level), ("warning", ["session", "cuts"], "ok"))

    def test_another_pgbouncer_on_the_same_port(self):
        mixed = DELIVERED | {"is_mixed": True}
        for conclusion in [*judge(found(mixed, bus=mixed)), judge(found(LOST))[1]]:
            self.assertEqual((conclusion.level, codes(conclusion)[0]), ("warning", ["session", "mixed"]))

    def test_cron_threads_that_ended(self):
        steps = found(job=None)
        steps["cron"] |= {"ended_threads": 2, "is_woken": False}
        _bus, cron = judge(steps)
        self.assertEqual((cron.verdict, cron.level, codes(cron)[0]), ("deaf", "critical", ["ended_threads"]))

    def test_server_without_cron_workers(self):
        steps = found(job=None)
        steps["cron"]["has_workers"] = False
        _bus, cron = judge(steps)
        self.assertEqual((cron.verdict, cron.level, *codes(cron)), ("unknown", "unknown", ["no_workers"], ["workers"]))
        steps = found(waited=0.2)
        steps["cron"]["has_workers"] = False
        self.assertEqual(judge(steps)[1].level, "ok", "those of another server are")

    def test_scheduled_check_without_a_job(self):
        steps = found()
        del steps["cron"]
        self.assertEqual(judge(steps)[1].verdict, "unknown")


class TestQueueJob(TestCase):
    def test_verdicts(self):
        for name, (step, expected) in QUEUE_JOB_VERDICTS.items():
            with self.subTest(name):
                conclusion = listen_verdicts.judge_queue_job(step)
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
            self.assertEqual(codes(listen_verdicts.judge_queue_job(step)), tuple(expected))

    def test_figures(self):
        self.assertEqual(listen_verdicts.judge_queue_job(found_queue_job(DIRECT)).sentences[0]["delay"], 0.03)
