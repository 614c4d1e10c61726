"""The route that the bus process answers."""

from odoo.http import Controller, request, route

from ..models.listen_check.connection_check_run import ROUTE


class BusProcess(Controller):
    @route(ROUTE, type="jsonrpc", auth="public", methods=["POST"], save_session=False)
    def listen(self, run_id, token, whom=None, is_notified=False):
        """Return what this process knows of the bus. A reverse proxy passes everything under /websocket to the process
        that holds the websockets. The caller needs the token of a check, which only Managers can start."""
        return request.env["connection.check.run"]._answer_as_bus_process(run_id, token, whom, is_notified)
