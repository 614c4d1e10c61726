"""What several models need to show figures and results to users."""

from datetime import datetime

from odoo.tools.misc import formatLang

from .analysis.pressure import LEVELS as LEVEL_NAMES

EPOCH = datetime(1970, 1, 1)
LEVELS = [(level, level.upper() if level == "ok" else level.capitalize()) for level in LEVEL_NAMES]


def selection_label(model, name, value):
    """Return the user's word for a value of a selection."""
    return dict(model._fields[name]._description_selection(model.env))[value]


def format_number(env, value, decimals=2):
    """Return a number as the user's language writes it, without zeros at its end; "?" for one that is unknown.

    :param value: a number, or None or False for unknown
    :param int decimals: how many there are at most
    """
    if value is None or value is False:
        return "?"
    digits = len(f"{value:.{decimals}f}".partition(".")[2].rstrip("0"))
    return formatLang(env, value, digits=digits)


def format_duration(seconds):
    """Return days and hours, hours and minutes, or minutes and seconds, in units that need no translation."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s")]
    while len(parts) > 1 and not parts[0][0]:
        del parts[0]
    return " ".join(f"{number} {unit}" for number, unit in parts[:2])


def format_ms(env, seconds):
    """Return a number of seconds in milliseconds, as the user's language writes it."""
    return format_number(env, seconds * 1000, 0 if seconds >= 0.01 else 1)


def notification(title, message, kind, next_action=None):
    """Return the client action that shows a notification, then does another action.

    :param str kind: success, warning or danger; the last two stay until they are closed
    :param dict next_action: reload the page's data if not given
    """
    return {
        "type": "ir.actions.client",
        "tag": "display_notification",
        "params": {
            "title": title,
            "message": message,
            "type": kind,
            "sticky": kind != "success",
            "next": next_action or {"type": "ir.actions.client", "tag": "soft_reload"},
        },
    }
