"""Formats of figures, labels and client actions for several models. Touches no table."""

from datetime import datetime, timedelta
from functools import reduce

from odoo.tools.misc import formatLang

from .analysis.pressure import LEVELS as LEVEL_NAMES

EPOCH = datetime(1970, 1, 1)
LEVELS = [(level, level.upper() if level == "ok" else level.capitalize()) for level in LEVEL_NAMES]


def selection_label(model, name, value):
    """Return the label of a value of a selection, in the user's language."""
    return dict(model._fields[name]._description_selection(model.env))[value]


def format_number(env, value, decimals=2):
    """Return a number in the format of the user's language, without trailing zeros; "?" for unknown.

    :param value: a number, or None or False for unknown
    :param int decimals: the maximum
    """
    if value is None or value is False:
        return "?"
    digits = len(f"{value:.{decimals}f}".partition(".")[2].rstrip("0"))
    return formatLang(env, value, digits=digits)


def labelled(env, *parts):
    """Return a text behind its labels, in the punctuation of the user's language. Empty parts are left out."""
    known = [part for part in parts if part] or [""]
    return reduce(lambda label, text: env._("%(label)s: %(text)s", label=label, text=text), known)


def first_names(env, names, most):
    """Return names as a text: the first ones, at most ``most``, and how many more there are."""
    listed, more = ", ".join(names[:most]), len(names) - most
    if more <= 0:
        return listed
    return env._("%(names)s and %(count)s more", names=listed, count=format_number(env, more))


def format_duration(env, seconds):
    """Return a duration in its two largest units: days and hours, hours and minutes, or minutes and seconds."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return env._("%(days)s d %(hours)s h", days=days, hours=hours)
    parts = [(hours, "h"), (minutes, "min"), (seconds, "s")]
    while len(parts) > 1 and not parts[0][0]:
        del parts[0]
    return " ".join(f"{number} {unit}" for number, unit in parts[:2])


def format_time(seconds):
    """Return a time of the epoch, in UTC, as 2026-01-31 12:34:56."""
    return str(EPOCH + timedelta(seconds=int(seconds)))


def format_ms(env, seconds):
    """Return seconds in milliseconds, in the format of the user's language."""
    return format_number(env, seconds * 1000, 0 if seconds >= 0.01 else 1)


def notification(title, message, kind, next_action=None):
    """Return the client action that shows a notification, then does another action.

    :param str kind: success, warning or danger. Only the first one closes by itself.
    :param dict next_action: by default reload the data of the page
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
