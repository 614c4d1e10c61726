"""Connections that are left idle for longer than many proxies and settings allow."""

import logging
import threading
import time

from odoo import api, fields
from odoo.modules.registry import Registry

from ...odoo_internals import bus_info, listener_info
from ...probes import listen, query

_logger = logging.getLogger(__name__)

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


def start_silence(dbname):
    """Start `check_silently` in a thread of this process."""
    threading.Thread(target=check_silently, args=(dbname,), daemon=True).start()


def check_silently(dbname):
    """Check a database of this Odoo server, with a silence before. An error is logged."""
    try:
        silence = probe_silence() | {"at": fields.Datetime.to_string(fields.Datetime.now())}
        with Registry(dbname).cursor() as cr:
            checks = api.Environment(cr, api.SUPERUSER_ID, {})["connection.check"]
            checks._set_checked()
            checks._check_and_wait({"silence": silence})
    except Exception:
        _logger.exception("LISTEN could not be checked")
