import { onWillStart, useState } from "@odoo/owl";
import { registry } from "@web/core/registry";
import { user } from "@web/core/user";
import { useService } from "@web/core/utils/hooks";
import { KanbanController } from "@web/views/kanban/kanban_controller";
import { kanbanView } from "@web/views/kanban/kanban_view";
import { ListController } from "@web/views/list/list_controller";
import { listView } from "@web/views/list/list_view";
import { withReading } from "@pgbouncer_monitor/live/with_live";
import { LiveListModel } from "@pgbouncer_monitor/live_list/live_list";

/** Adds the notices about the last reading, and the button that makes one. */
const withCheck = (Controller) =>
    class extends withReading(Controller) {
        setup() {
            super.setup();
            this.orm = useService("orm");
            this.action = useService("action");
            this.checking = useState({ isRunning: false });
            onWillStart(async () => {
                this.isManager = await user.hasGroup("pgbouncer_monitor.group_manager");
            });
        }

        async checkNow() {
            this.checking.isRunning = true;
            try {
                const notification = await this.orm.call("connection.advice", "action_read", []);
                await this.action.doAction(notification);
            } finally {
                this.checking.isRunning = false;
            }
        }
    };

class AdviceListController extends withCheck(ListController) {
    static template = "pgbouncer_monitor.AdviceList";
}

class AdviceKanbanController extends withCheck(KanbanController) {
    static template = "pgbouncer_monitor.AdviceKanban";
}

registry.category("views").add("advice_list", {
    ...listView,
    Model: LiveListModel,
    Controller: AdviceListController,
});
registry.category("views").add("advice_kanban", {
    ...kanbanView,
    Model: LiveListModel,
    Controller: AdviceKanbanController,
});
