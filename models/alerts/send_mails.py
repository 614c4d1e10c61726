"""E-mails that cannot wait for the mail queue, which is a scheduled action. A thread of this process sends them: a
request neither waits for a mail server nor needs a second connection."""

import logging
import threading

from odoo import SUPERUSER_ID, api
from odoo.modules.registry import Registry

_logger = logging.getLogger(__name__)


def start_sending(dbname, mail_ids):
    """Start `send_mails` in a thread of this process."""
    threading.Thread(target=send_mails, args=(dbname, mail_ids), daemon=True).start()


def send_mails(dbname, mail_ids):
    """Send mails. An error is logged: what was not sent waits for the mail queue."""
    try:
        with Registry(dbname).cursor() as cr:
            env = api.Environment(cr, SUPERUSER_ID, {})
            env["mail.mail"].browse(mail_ids).send()
            env["connection.endpoint"]._commit()
    except Exception:
        _logger.exception("E-mails about an alert wait for the mail queue")
