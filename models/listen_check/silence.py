"""Connections that are left idle for longer than many proxies and settings allow."""

import time

from ...odoo_internals import bus_info, listener_info
from ...probes import listen, query

# Timeouts of 50 and 60 s are common in TCP proxies.
SILENCE_SECONDS = 65


def probe_silence():
    """Return the facts of LISTEN on connections that are idle for SILENCE_SECONDS, of the ``bus`` and of ``cron``."""
    infos = {"cron": listener_info(), "bus": bus_info()}
    if infos["cron"] == infos["bus"]:
        del infos["bus"]
    jobs = {name: ("", 0, lambda _hosts, _deadline, info=info: _probe_silently(info)) for name, info in infos.items()}
    results = query.in_parallel(jobs, SILENCE_SECONDS + listen.TOTAL_SECONDS + query.HAND_OVER_SECONDS)
    return {"bus": results["cron"]} | results


def _probe_silently(info):
    return listen.probe(info, lambda: time.sleep(SILENCE_SECONDS), SILENCE_SECONDS)[0]._asdict()
