"""What an uptime monitor reads: whether the endpoints are sampled, and whether anything is wrong. Queries no server."""

from odoo import api, fields, models

from ...tools import first_names
from ..endpoint.connection_endpoint_reading import MISSED_SAMPLES

# The levels that fail, by the parameter ``fail_on``. "unknown" does not: for an endpoint that does not answer, an alert
# opens.
FAILING = {"critical": ("critical",), "warning": ("warning", "critical")}
# In seconds, unless the sampler's interval is longer than a minute.
DEFAULT_AGE = 180
MAX_NAMES = 10


def _age(time):
    """Return the seconds since a time. One in the future is before the clock was set back."""
    return abs((fields.Datetime.now() - time).total_seconds())


class ConnectionOverview(models.AbstractModel):
    _inherit = "connection.overview"

    @api.model
    def _health(self, max_age=None, fail_on="critical"):
        """Return what an uptime monitor reads, in English.

        :param float max_age: how many seconds old the last sample of an endpoint may be; by default three intervals
        :param str fail_on: of FAILING
        :return: a dictionary that JSON can hold: the ``status``, "ok" or "failing"; the ``reasons``, each with its
            ``code`` and ``text`` and, if it is about an endpoint, the name of the ``endpoint``; ``checked_at`` in UTC;
            and the ``name``, ``level`` and ``sample_age`` (in seconds, None if there is no sample) of the ``endpoints``
        """
        if max_age is None:
            max_age = max(DEFAULT_AGE, MISSED_SAMPLES * self.env["connection.settings"]._interval("sample"))
        endpoints = self.env["connection.endpoint"].search([("active", "=", True)])
        alerts = self.env["connection.alert"].search([("closed_at", "=", False)]).grouped("endpoint_id")
        failing, shown, reasons = FAILING[fail_on], [], self._health_reasons(endpoints, FAILING[fail_on], max_age)
        for endpoint in endpoints:
            of_endpoint = alerts.get(endpoint, self.env["connection.alert"])
            status = self._status(endpoint, of_endpoint)
            shown.append({"name": endpoint.name, "level": status["level"], "sample_age": status["age"]})
            reasons += [
                {"code": code, "text": text, "endpoint": endpoint.name}
                for code, text in self._endpoint_reasons(endpoint, of_endpoint, failing, max_age)
            ]
        return {
            "status": "failing" if reasons else "ok",
            "reasons": reasons,
            "checked_at": f"{fields.Datetime.now().isoformat()}Z",
            "endpoints": shown,
        }

    @api.model
    def _health_reasons(self, endpoints, failing, max_age):
        """Return the reasons that are not about one endpoint. For the parameters see `_endpoint_reasons`."""
        reasons = [] if endpoints else [{"code": "no_endpoint", "text": "No endpoint is active: nothing is sampled."}]
        overdue = self.env["connection.sample"]._overdue()
        if overdue and not (overdue["since"] and _age(overdue["since"]) <= max_age):
            reasons.append({"code": "sampler_overdue", "text": f"{overdue['text']} {overdue['remedy']}"})
        for check in self._checks():
            if check["level"] in failing:
                reasons.append({"code": "listener", "text": check["label"]})
        return reasons

    @api.model
    def _endpoint_reasons(self, endpoint, alerts, failing, max_age):
        """Yield the code and the text of each reason that is about an endpoint.

        :param alerts: those that are open
        :param failing: the levels that fail
        :param float max_age: how many seconds old the last sample may be
        """
        sampled_at = endpoint.sampled_at
        age = _age(sampled_at or endpoint.write_date)  # a new endpoint, or address, need not have a sample
        if age > max_age:
            yield "sample_too_old", f"Last sample: {age:.0f} s ago." if sampled_at else "Never sampled."
        if endpoint.level in failing:
            yield "level", endpoint.last_error or endpoint.level
        names = [alert.display_name for alert in alerts if alert.level in failing]
        if names:
            yield "alert", first_names(self.env, names, MAX_NAMES)
