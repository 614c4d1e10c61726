"""The metrics for Prometheus."""

from werkzeug.http import parse_accept_header
from werkzeug.wrappers import Response

from odoo.http import Controller, request, route

from ..models.metrics import exposition
from .bearer import viewer_or_error

TEXT = "text/plain; charset=utf-8"
ZERO_OR_ONE = "live must be 0 or 1.\n"
NOT_LIVE = "The user of this API key is not a Manager of Database Connections: only Managers may measure now.\n"


class Metrics(Controller):
    @route(
        "/pgbouncer_monitor/metrics",
        type="http",
        auth="bearer",
        methods=["GET"],
        save_session=False,
        # A replica has other sessions than the server that is watched.
        readonly=lambda _self, _rule, _args: request.httprequest.args.get("live") != "1",
    )
    def metrics(self, live="0", **_others):
        """Return the metrics of all endpoints, in the format that the client asks for: of the last samples, with
        ``live=1`` of samples that are taken now."""
        if error := viewer_or_error():
            return error
        if not exposition.library:
            return Response(exposition.MISSING, status=501, content_type=TEXT)
        if live not in ("0", "1"):
            return Response(ZERO_OR_ONE, status=400, content_type=TEXT)
        is_live = live == "1"
        if is_live and not request.env.user.has_group("pgbouncer_monitor.group_manager"):
            return Response(NOT_LIVE, status=403, content_type=TEXT)
        asked = request.httprequest.headers
        is_packed = parse_accept_header(asked.get("Accept-Encoding")).quality("gzip") > 0
        Metrics = request.env["connection.metrics"].sudo()
        content, kind = Metrics._scrape(asked.get("Accept", ""), is_packed, is_live)
        headers = [("Content-Type", kind), ("Vary", "Accept, Accept-Encoding"), ("Cache-Control", "no-store")]
        return request.make_response(content, headers + [("Content-Encoding", "gzip")] * is_packed)
