"""The files of a plan as a zip."""

import io
import zipfile

from odoo.http import Controller, content_disposition, request, route


class Planner(Controller):
    @route("/pgbouncer_monitor/plan/<int:plan_id>/files.zip", type="http", auth="user", methods=["GET"], readonly=True)
    def files(self, plan_id):
        """Return the files of a plan. Who may read the plan may read them; they hold no password."""
        if "connection.plan" not in request.env:  # loaded by server_wide_modules, and not installed here
            return request.not_found()
        plan = request.env["connection.plan"].browse(plan_id).exists()
        plan.check_access("read")
        if not plan or not plan.files:
            return request.not_found()
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in plan.files.items():
                archive.writestr(name, text)
        disposition = content_disposition(f"{plan.name}.zip")
        headers = [("Content-Type", "application/zip"), ("Content-Disposition", disposition)]
        return request.make_response(content.getvalue(), headers)
