"""Who may read the addresses for monitoring systems."""

from werkzeug.wrappers import Response

from odoo.http import request

FORBIDDEN = "The user of this API key is not a Viewer of Database Connections.\n"


def viewer_or_error():
    """Return None if the user is a Viewer, and the response otherwise. It is in English, and names nothing of the
    database: monitoring systems log it."""
    if "connection.overview" not in request.env:  # loaded by server_wide_modules, and not installed here
        return request.not_found()
    if request.env.user.has_group("pgbouncer_monitor.group_viewer"):
        return None
    return Response(FORBIDDEN, status=403, content_type="text/plain; charset=utf-8")
