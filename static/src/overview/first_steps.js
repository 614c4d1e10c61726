import { Component, useState } from "@odoo/owl";
import { CopyButton } from "@web/core/copy_button/copy_button";
import { _t } from "@web/core/l10n/translation";
import { useService } from "@web/core/utils/hooks";
import { LEVELS } from "@pgbouncer_monitor/live/levels";

/** How each state of a step is shown: by its word and its icon, not by a color alone. */
const STATES = {
    done: {
        badge: "bg-success-subtle text-success-emphasis",
        icon: "fa-check-circle",
        label: _t("Done"),
    },
    todo: {
        badge: "bg-info-subtle text-info-emphasis",
        icon: "fa-circle-o",
        label: _t("To Do"),
    },
    unknown: { badge: "text-bg-secondary", icon: "fa-question-circle", label: _t("Unknown") },
};

/** What is still to do after the installation: the `steps` of connection.overview. */
export class FirstSteps extends Component {
    static template = "pgbouncer_monitor.FirstSteps";
    static components = { CopyButton };
    static props = { steps: Array, refresh: Function, slots: Object };

    setup() {
        this.orm = useService("orm");
        this.action = useService("action");
        this.notification = useService("notification");
        this.busy = useState({ isBusy: false });
        Object.assign(this, { states: STATES, levels: LEVELS });
    }

    get progress() {
        const done = this.props.steps.filter(({ state }) => state === "done").length;
        return _t("%(done)s of %(count)s done", { done, count: this.props.steps.length });
    }

    /** Does what a button of a step is for; then the page shows what has changed. */
    async press({ action, call }) {
        this.busy.isBusy = true;
        try {
            const next = action || (await this.orm.call(...call));
            if (next) {
                // This page refreshes itself, and keeps its scroll position.
                delete next.params?.next;
                await this.action.doAction(next);
            }
            await this.props.refresh();
        } finally {
            this.busy.isBusy = false;
        }
    }

    async dismiss() {
        await this.orm.call("connection.overview", "dismiss_steps", []);
        await this.props.refresh();
        this.notification.add(
            _t("The settings of Database Connections can show the first steps again."),
            { type: "info" },
        );
    }
}
