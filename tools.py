"""What several models need to put figures into words."""

from odoo.tools.misc import formatLang


def localized(env, value, decimals=2):
    """Return a number as the user's language writes it, without zeros at its end; "?" for one that is unknown.

    :param value: a number, or None or False for unknown
    :param int decimals: how many there are at most
    """
    if value is None or value is False:
        return "?"
    digits = len(f"{value:.{decimals}f}".partition(".")[2].rstrip("0"))
    return formatLang(env, value, digits=digits)
