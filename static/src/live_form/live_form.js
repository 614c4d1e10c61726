import { _t } from "@web/core/l10n/translation";
import { registry } from "@web/core/registry";
import { RelationalModel } from "@web/model/relational_model/relational_model";
import { getFieldsSpec } from "@web/model/relational_model/utils";
import { FormCompiler } from "@web/views/form/form_compiler";
import { FormController } from "@web/views/form/form_controller";
import { formView } from "@web/views/form/form_view";
import { lastSeen, remember } from "@pgbouncer_monitor/live/last_seen";
import { withLive } from "@pgbouncer_monitor/live/with_live";

/** Shows a row that its server no longer reports as it was last seen: see web_read_live of connection.live. */
export class LiveFormModel extends RelationalModel {
    static withCache = false;

    async _loadRecords(config, evalContext = config.context) {
        const { activeFields, context, fields, resId, resModel } = config;
        const seen = lastSeen(resModel, resId);
        const specification = getFieldsSpec(activeFields, fields, evalContext);
        const endpointId = seen?.values.endpoint_id?.id || false;
        const args = [[resId], specification, endpointId];
        const { records, reading } = await this.orm.call(resModel, "web_read_live", args, {
            context,
        });
        config.reading = reading;
        config.isAbsent = !records.length;
        if (config.isAbsent) {
            config.seenAt = seen?.readAt;
            return [seen?.values || { id: resId }];
        }
        config.seenAt = reading.read_at;
        remember(resModel, records, reading.read_at);
        return records;
    }

    /** Reads the same row again. The reading is dropped if the user opened another row meanwhile. */
    async refresh() {
        const { root } = this;
        const config = { ...root.config };
        const data = await this._loadData(config);
        if (this.root === root) {
            Object.assign(root.config, config);
            if (!config.isAbsent) {
                root._setData(data);
            }
        }
    }
}

/** Nothing can be done to a row that is gone. */
export class LiveFormCompiler extends FormCompiler {
    compileHeader() {
        const statusBar = super.compileHeader(...arguments);
        statusBar.setAttribute("t-if", "!__comp__.props.record.config.isAbsent");
        return statusBar;
    }
}

/**
 * The form of a live row. It refreshes itself, and pauses while the page is hidden. When the row is gone, the form says
 * so, and keeps what was last seen.
 */
export class LiveFormController extends withLive(FormController) {
    static template = "pgbouncer_monitor.LiveFormView";

    get isAbsent() {
        return this.model.root.config.isAbsent;
    }

    /** Whether there is anything to show: after a reload of the page, nothing is known of a row that is gone. */
    get isSeen() {
        return Boolean(this.shownAt);
    }

    get className() {
        return { ...super.className, o_live_absent: this.isAbsent };
    }

    displayName() {
        return super.displayName() || (this.isAbsent ? _t("Gone") : "");
    }

    /** That the row is gone, too. */
    get notices() {
        if (!this.isAbsent) {
            return super.notices;
        }
        const { absence } = this.reading;
        const text = this.isSeen
            ? _t("%(absence)s Last seen at %(time)s, as shown below.", {
                  absence,
                  time: this.readAt,
              })
            : _t("%s Nothing else is known about it here.", absence);
        return [{ type: "warning", text }, ...super.notices];
    }

    get shownAt() {
        return this.model.root.config.seenAt;
    }

    /** The row may be gone since the last reading: then the form says so, instead of an error. */
    async beforeExecuteActionButton() {
        await this.live.refresh();
        return !this.isAbsent;
    }
}

registry.category("views").add("live_form", {
    ...formView,
    Model: LiveFormModel,
    Compiler: LiveFormCompiler,
    Controller: LiveFormController,
});
