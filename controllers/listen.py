"""The route that the bus process answers."""

from odoo.http import Controller, request, route

from ..models.listen_check.connection_check_run import ROUTE, TOKEN_HEADER


class BusProcess(Controller):
    # Many reverse proxies send "Connection: upgrade" with everything below /websocket: Odoo's bus process then never
    # gets the body of a POST.
    @route(ROUTE, type="http", auth="public", methods=["GET"], save_session=False)
    def listen(self, run_id, whom, is_notified=""):
        """Return what this process knows of the bus, as JSON: see `_answer_as_bus_process`. A reverse proxy passes
        everything under /websocket to the process that holds the websockets. The caller needs the token of a check,
        which only Managers can start."""
        if "connection.check.run" not in request.env:  # loaded by server_wide_modules, and not installed here
            return request.not_found()
        token = request.httprequest.headers.get(TOKEN_HEADER, "")
        answer = request.env["connection.check.run"]._answer_as_bus_process(run_id, token, whom, is_notified == "1")
        return request.make_json_response(answer)
