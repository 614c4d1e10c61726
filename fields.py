"""Number fields that can be NULL, for unknown, or large. Odoo's own fields would show 0, or fail."""

from odoo import fields

MAX_INT8 = 2**63 - 1


class _Nullable:
    falsy_value = None

    def convert_to_cache(self, value, record, validate=True):
        return None if value is None or value is False else super().convert_to_cache(value, record, validate)

    def convert_to_column(self, value, record, values=None, validate=True):
        return None if value is None or value is False else super().convert_to_column(value, record, values, validate)

    def convert_to_record(self, value, record):
        return False if value is None else value

    def convert_to_export(self, value, record):
        return "" if value is False else value


class LargeInteger(fields.Integer):
    """A 64-bit integer. A number beyond that becomes the nearest one, which a constraint can reject in words."""

    _column_type = ("int8", "int8")

    def convert_to_cache(self, value, record, validate=True):
        return max(-MAX_INT8, min(super().convert_to_cache(value, record, validate), MAX_INT8))

    def convert_to_column(self, value, record, values=None, validate=True):
        return max(-MAX_INT8, min(super().convert_to_column(value, record, values, validate), MAX_INT8))


class NullableInteger(_Nullable, LargeInteger):
    """A 64-bit integer, or False for unknown."""


class NullableFloat(_Nullable, fields.Float):
    """A number, or False for unknown."""


class NullableReal(NullableFloat):
    """A number in 4 bytes, with 6 exact digits, for tables with millions of rows."""

    _column_type = ("float4", "float4")
