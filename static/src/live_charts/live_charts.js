import { onWillStart } from "@odoo/owl";
import { registry } from "@web/core/registry";
import { useService } from "@web/core/utils/hooks";
import { GraphRenderer } from "@web/views/graph/graph_renderer";
import { GraphController } from "@web/views/graph/graph_controller";
import { GraphModel } from "@web/views/graph/graph_model";
import { graphView } from "@web/views/graph/graph_view";
import { PivotController } from "@web/views/pivot/pivot_controller";
import { pivotView } from "@web/views/pivot/pivot_view";

/** Shows above a chart the notices about its rows: see connection.notices. */
const withNotices = (Controller) =>
    class extends Controller {
        setup() {
            super.setup();
            const orm = useService("orm");
            onWillStart(async () => {
                this.notices = await orm.call(this.props.resModel, "get_notices");
            });
        }
    };

class LiveGraphController extends withNotices(GraphController) {
    static template = "pgbouncer_monitor.LiveGraphView";
}

/** Leaves a gap for what is unknown: Odoo's own graph draws 0 where it has no value. */
class HistoryGraphModel extends GraphModel {
    /** A time without samples must not get a line of its own. */
    _getProcessedDataPoints() {
        const points = super._getProcessedDataPoints();
        const known = points.find((point) => point.count);
        return points.map((point) =>
            point.count || !known
                ? point
                : { ...point, labels: [point.labels[0], ...known.labels.slice(1)], value: false },
        );
    }

    _getData() {
        const data = super._getData(...arguments);
        for (const dataset of data.datasets) {
            // Each point has a domain; without one there is no point.
            dataset.data = dataset.data.map((value, index) =>
                dataset.domains[index].length && value !== false ? value : null,
            );
        }
        return data;
    }
}

class LivePivotController extends withNotices(PivotController) {
    static template = "pgbouncer_monitor.LivePivotView";
}

/** Draws straight lines between measurements: Odoo's own curves overshoot. */
class HistoryGraphRenderer extends GraphRenderer {
    getLineChartData() {
        const data = super.getLineChartData();
        for (const dataset of data.datasets) {
            dataset.cubicInterpolationMode = "default";
        }
        return data;
    }
}

registry.category("views").add("live_graph", { ...graphView, Controller: LiveGraphController });
registry.category("views").add("history_graph", {
    ...graphView,
    Controller: LiveGraphController,
    Model: HistoryGraphModel,
    Renderer: HistoryGraphRenderer,
});
registry.category("views").add("live_pivot", { ...pivotView, Controller: LivePivotController });
