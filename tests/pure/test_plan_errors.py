from dataclasses import fields, replace
from unittest import TestCase

from plans import CLASSIC

from planner.errors import CHOICES, LIMITS, errors
from planner.inputs import Inputs, Other


class TestErrors(TestCase):
    def one(self, **changes):
        [error] = errors(replace(Inputs(), **changes))
        self.assertEqual(error.level, "critical")
        return error.field, error.reason.code, error.reason.figures

    def test_good_input(self):
        self.assertEqual(errors(Inputs()), [])
        self.assertEqual(errors(CLASSIC), [])

    def test_every_number_has_a_limit(self):
        for field in fields(Inputs):
            if field.type in (int, int | None, float | None):
                self.assertIn(field.name, LIMITS | CHOICES)

    def test_limits(self):
        for name, (minimum, maximum, unit) in LIMITS.items():
            for value, code, limit in ((minimum - 1, "below", "minimum"), (maximum + 1, "above", "maximum")):
                figures = {"value": value, limit: {"below": minimum, "above": maximum}[code], "unit": unit}
                self.assertEqual(self.one(**{name: value}), (name, code, figures))
            for value in (minimum, maximum):
                found = errors(replace(Inputs(), **{name: value}))
                self.assertFalse({error.reason.code for error in found} & {"below", "above"}, (name, value))

    def test_bad_numbers(self):
        for name, value, code in (
            ("servers", 0, "below"),
            ("workers", -1, "below"),
            ("workers", 10**12, "above"),
            ("mean_busy", float("nan"), "below"),
            ("mean_busy", float("inf"), "above"),
        ):
            self.assertEqual(self.one(**{name: value})[:2], (name, code), value)
        self.assertEqual(self.one(others=(Other("psql", 1), Other("backup", -2)))[0], "others")
        self.assertEqual(errors(Inputs(others=(Other("psql", 0), Other("reports", 10_000)))), [])
        self.assertEqual(self.one(others=(Other("reports", 10_001),))[2]["maximum"], 10_000)
        self.assertEqual(len(errors(Inputs(servers=0, workers=-1))), 2)

    def test_choices(self):
        for name, value in (("version", 14), ("version", 27), ("bus", "x"), ("auth", "")):
            field, code, figures = self.one(**{name: value})
            self.assertEqual((field, code, figures["value"]), (name, "unknown_choice", value))
        self.assertEqual(self.one(bus="x")[2]["choices"], ("session", "alt", "service"))

    def test_no_slot_is_left(self):
        plan = {"max_connections": 70, "superuser_reserved_connections": 60, "reserved_connections": 10}
        figures = {"max_connections": 70, "reserved": 70}
        self.assertEqual(self.one(**plan), ("max_connections", "no_slots", figures))
        self.assertEqual(errors(replace(Inputs(), **plan | {"reserved_connections": 9})), [])
        self.assertEqual(self.one(**plan | {"reserved_connections": 15})[2]["reserved"], 75)

    def test_larger_than_postgresql(self):
        for name in ("db_maxconn", "db_maxconn_gevent"):
            self.assertEqual(errors(replace(Inputs(), **{name: 100})), [])
            figures = {"value": 101, "max_connections": 100}
            self.assertEqual(self.one(**{name: 101}), (name, "larger_than_postgresql", figures))

    def test_larger_than_memory(self):
        half, memory = 2**29, 2**30
        self.assertEqual(errors(Inputs(memory=memory, shared_buffers=half)), [])
        self.assertEqual(errors(Inputs(shared_buffers=half)), [])
        found = self.one(memory=memory, shared_buffers=memory)
        self.assertEqual(found, ("shared_buffers", "larger_than_memory", {"value": memory, "memory": memory}))

    def test_busier_than_postgresql(self):
        self.assertEqual(errors(Inputs(mean_busy=97)), [])
        figures = {"value": 97.5, "limit": 97}
        self.assertEqual(self.one(mean_busy=97.5), ("mean_busy", "busier_than_postgresql", figures))
        self.assertEqual(errors(Inputs(peak_busy=200)), [], "clients that wait are no backends")
