import { registry } from "@web/core/registry";
import { KanbanController } from "@web/views/kanban/kanban_controller";
import { kanbanView } from "@web/views/kanban/kanban_view";
import { ListController } from "@web/views/list/list_controller";
import { listView } from "@web/views/list/list_view";
import { withReading } from "@pgbouncer_monitor/live/with_live";
import { emptyHelp, withEmptyHelp } from "./empty_help";
import { LiveListModel } from "./live_list";

/** Says why a list or cards are empty. They do not refresh themselves. */
const withExplanation = (Controller) =>
    class extends Controller {
        get emptyHelp() {
            return emptyHelp("", this);
        }
    };

class ExplainedListController extends withExplanation(ListController) {
    static template = "pgbouncer_monitor.ExplainedList";
}

class ExplainedKanbanController extends withExplanation(KanbanController) {
    static template = "pgbouncer_monitor.ExplainedKanban";
}

// Of a model that has a reading: see connection.notices.
class AlertListController extends withEmptyHelp(withReading(ListController)) {
    static template = "pgbouncer_monitor.NoticesList";
}

class AlertKanbanController extends withEmptyHelp(withReading(KanbanController)) {
    static template = "pgbouncer_monitor.NoticesKanban";
}

const views = registry.category("views");
views.add("explained_list", { ...listView, Controller: ExplainedListController });
views.add("explained_kanban", { ...kanbanView, Controller: ExplainedKanbanController });
views.add("alert_list", { ...listView, Model: LiveListModel, Controller: AlertListController });
views.add("alert_kanban", {
    ...kanbanView,
    Model: LiveListModel,
    Controller: AlertKanbanController,
});
