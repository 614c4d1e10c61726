"""Whether a PgBouncer would help an Odoo that connects to PostgreSQL directly."""

from . import demand
from .inputs import Reason

# From this percentage on, PostgreSQL is about to run out of connections: the rule about it warns by default, too.
PRESSED_PERCENT = 75
# A peak counts from this time on: every hour of a day was seen.
MIN_SECONDS = 24 * 3600


def need(inputs, capacity, peak, seconds):
    """Return the Reason for or against a PgBouncer.

    - ``unmeasured``: the peak or the capacity is unknown
    - ``peak``: PostgreSQL was pressed
    - ``settings``: Odoo's own settings would press it on a busy day
    - ``early``: neither, but the samples are too few
    - ``room``: neither; a PgBouncer would not help now

    Its figures: ``peak``, ``capacity``; ``expected`` and ``ceiling``, the connections of this Odoo on a busy day, and
    at most.

    :param Inputs inputs: of this Odoo alone
    :param int capacity: connections that PostgreSQL has for it; None if unknown
    :param int peak: the most that were in use; None if unknown
    :param float seconds: for how long it has been measured
    """
    parts = demand.components(inputs)
    figures = {"peak": peak, "capacity": capacity}
    figures |= {name: sum(getattr(part, name) for part in parts) for name in ("expected", "ceiling")}
    if peak is None or not capacity:
        return Reason("unmeasured", figures)
    pressed = capacity * PRESSED_PERCENT / 100
    if peak >= pressed:
        return Reason("peak", figures)
    if figures["expected"] >= pressed:
        return Reason("settings", figures)
    return Reason("early" if seconds < MIN_SECONDS else "room", figures)
