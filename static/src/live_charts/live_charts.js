import { onWillStart, onWillUpdateProps, useState } from "@odoo/owl";
import { registry } from "@web/core/registry";
import { KeepLast } from "@web/core/utils/concurrency";
import { useService } from "@web/core/utils/hooks";
import { GraphController } from "@web/views/graph/graph_controller";
import { graphView } from "@web/views/graph/graph_view";
import { PivotController } from "@web/views/pivot/pivot_controller";
import { pivotView } from "@web/views/pivot/pivot_view";
import { emptyHelp } from "@pgbouncer_monitor/live_list/empty_help";

/** Shows above a chart the notices about its rows: see connection.notices. */
const withNotices = (Controller) =>
    class extends Controller {
        setup() {
            super.setup();
            const orm = useService("orm");
            const keepLast = new KeepLast();
            this.about = useState({ notices: [] });
            const readNotices = async ({ resModel, domain }) => {
                const reading = orm.call(resModel, "get_notices", [domain]);
                this.about.notices = await keepLast.add(reading);
            };
            onWillStart(() => readNotices(this.props));
            onWillUpdateProps((nextProps) => {
                // The chart does not wait. If it fails, the old ones stay: the request for the chart reports it.
                readNotices(nextProps).catch(() => {});
            });
            onWillStart(async () => {
                this.helpOfServer = await orm.call(this.props.resModel, "get_empty_help");
            });
        }

        get notices() {
            return this.about.notices;
        }

        get emptyHelp() {
            return emptyHelp(this.helpOfServer, this);
        }
    };

export class LiveGraphController extends withNotices(GraphController) {
    static template = "pgbouncer_monitor.LiveGraphView";
}

class LivePivotController extends withNotices(PivotController) {
    static template = "pgbouncer_monitor.LivePivotView";
}

registry.category("views").add("live_graph", { ...graphView, Controller: LiveGraphController });
registry.category("views").add("live_pivot", { ...pivotView, Controller: LivePivotController });
