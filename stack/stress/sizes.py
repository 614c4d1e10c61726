"""How much of the stress test runs."""

from typing import NamedTuple


class Size(NamedTuple):
    """What a run measures.

    :param tuple users: numbers of users
    :param tuple workers: HTTP workers of Odoo; 0 for a threaded server
    :param tuple filters: whether Odoo has a dbfilter
    :param int turns: how often each side is measured
    :param float warm_up: seconds of load that do not count; ``seconds``: those that do
    :param tuple clients: of the raw part: numbers of clients that connect at the same time
    :param float storm_seconds: how long each storm of short connections lasts
    :param bool has_sale: whether the flash sale is part of it
    """

    name: str
    users: tuple
    workers: tuple
    filters: tuple
    turns: int
    warm_up: float
    seconds: float
    clients: tuple
    storm_seconds: float
    has_sale: bool


SIZES = {
    size.name: size
    for size in (
        Size("full", (50, 200, 500), (4, 0), (True, False), 3, 4, 10, (110, 500, 1000, 5000), 4, True),
        Size("quick", (200,), (4, 0), (True,), 2, 4, 10, (110, 1000), 5, False),
        Size("smallest", (10,), (0,), (True,), 1, 2, 3, (110,), 1, False),
    )
}
