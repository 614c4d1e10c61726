"""The address for uptime monitors and load balancers."""

import math

from werkzeug.wrappers import Response

from odoo.http import Controller, request, route

from ..models.metrics.health import FAILING
from .bearer import viewer_or_error


class Health(Controller):
    # On Odoo's primary: a replica has other sessions, and its samples may be late.
    @route("/pgbouncer_monitor/health", type="http", auth="bearer", methods=["GET"], save_session=False)
    def health(self, max_age=None, fail_on="critical"):
        """Return as JSON whether the endpoints are sampled and nothing fails, see `connection.overview._health`: with
        the status 200, otherwise 503."""
        if error := viewer_or_error():
            return error
        if fail_on not in FAILING:
            return bad_request(f"fail_on must be one of: {', '.join(FAILING)}.")
        if max_age is not None and not (max_age := seconds(max_age)):
            return bad_request("max_age must be a number of seconds above 0.")
        # For programs: whatever the language of the user.
        health = request.env["connection.overview"].with_context(lang="en_US", tz="UTC")._health(max_age, fail_on)
        status = 200 if health["status"] == "ok" else 503
        return request.make_json_response(health, headers={"Cache-Control": "no-store"}, status=status)


def seconds(text):
    """Return a positive number, None for another text."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 < number < math.inf else None


def bad_request(text):
    return Response(f"{text}\n", status=400, content_type="text/plain; charset=utf-8")
