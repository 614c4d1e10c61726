import { registry } from "@web/core/registry";
import {
    JournalDashboardGraphField,
    journalDashboardGraphField,
} from "@web/views/fields/journal_dashboard_graph/journal_dashboard_graph_field";

/** The line of Odoo's dashboards with its axes: from 0, and with the time of day. */
class PressureChartField extends JournalDashboardGraphField {
    /** Odoo's own reads the data of the first record only. */
    renderChart() {
        this.data = JSON.parse(this.props.record.data[this.props.name]);
        super.renderChart();
    }

    getLineChartConfig() {
        const config = super.getLineChartConfig();
        config.options.scales = {
            y: { beginAtZero: true, ticks: { maxTicksLimit: 5 } },
            x: { grid: { display: false }, ticks: { maxTicksLimit: 6, maxRotation: 0 } },
        };
        config.options.elements.point = { radius: 1 };
        return config;
    }
}

registry.category("fields").add("pressure_chart", {
    ...journalDashboardGraphField,
    component: PressureChartField,
});
