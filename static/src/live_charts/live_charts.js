import { onWillStart } from "@odoo/owl";
import { registry } from "@web/core/registry";
import { useService } from "@web/core/utils/hooks";
import { GraphController } from "@web/views/graph/graph_controller";
import { graphView } from "@web/views/graph/graph_view";
import { PivotController } from "@web/views/pivot/pivot_controller";
import { pivotView } from "@web/views/pivot/pivot_view";

/** Shows above a chart of live rows what is missing from them: see connection.live. */
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

class LivePivotController extends withNotices(PivotController) {
    static template = "pgbouncer_monitor.LivePivotView";
}

registry.category("views").add("live_graph", { ...graphView, Controller: LiveGraphController });
registry.category("views").add("live_pivot", { ...pivotView, Controller: LivePivotController });
