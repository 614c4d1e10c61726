import { _t } from "@web/core/l10n/translation";
import { registry } from "@web/core/registry";
import { RelationalModel } from "@web/model/relational_model/relational_model";
import { KanbanController } from "@web/views/kanban/kanban_controller";
import { kanbanView } from "@web/views/kanban/kanban_view";
import { ListController } from "@web/views/list/list_controller";
import { ListRenderer } from "@web/views/list/list_renderer";
import { listView } from "@web/views/list/list_view";
import { remember } from "@pgbouncer_monitor/live/last_seen";
import { withLive } from "@pgbouncer_monitor/live/with_live";
import { withEmptyHelp } from "./empty_help";

function rowsOf(groups) {
    return groups.flatMap((group) => group.__records || rowsOf(group.__groups?.groups || []));
}

/** The groups and rows of a list, each with a key that is the same after the next reading. */
function shown(root) {
    const groups = (root.groups || []).map((group) => ({
        key: `group ${group.serverValue}`,
        datapoint: group,
    }));
    return [...groups, ...root.records.map((record) => ({ key: record.resId, datapoint: record }))];
}

/** Keeps the time and the notices of the rows beside them: see connection.notices. */
export class LiveListModel extends RelationalModel {
    setup() {
        super.setup(...arguments);
        this.userLoads = 0;
    }

    load() {
        this.userLoads++;
        return super.load(...arguments);
    }

    _updateConfig() {
        this.userLoads++;
        return super._updateConfig(...arguments);
    }

    async _loadUngroupedList(config) {
        const result = await super._loadUngroupedList(...arguments);
        config.reading = result.reading;
        remember(config.resModel, result.records, result.reading.read_at);
        return result;
    }

    async _webReadGroup(config) {
        const result = await super._webReadGroup(...arguments);
        config.reading = result.reading;
        remember(config.resModel, rowsOf(result.groups), result.reading.read_at);
        return result;
    }

    /**
     * Reads the same page again. The new rows are dropped if the user did anything meanwhile:
     * searched, turned the page, opened a group, selected a row. A row that stays keeps its element, so that it keeps
     * the focus, and a finger that is on it hits it.
     */
    async refresh() {
        const { root, userLoads } = this;
        const config = { ...root.config };
        // Otherwise groups that no longer exist would stay, with 0 in each column.
        delete config.currentGroups;
        const data = await this._loadData(config);
        if (this.userLoads === userLoads && !root.selection.length) {
            const ids = new Map(shown(root).map(({ key, datapoint }) => [key, datapoint.id]));
            Object.assign(root.config, config);
            root._setData(data);
            for (const { key, datapoint } of shown(root)) {
                datapoint.id = ids.get(key) ?? datapoint.id;
            }
        }
    }
}

/** Leaves out the columns that no server reports, see _unreported of connection.live. */
export class LiveListRenderer extends ListRenderer {
    getActiveColumns() {
        const unreported = this.props.list.config.reading?.unreported || [];
        return super.getActiveColumns().filter((column) => !unreported.includes(column.name));
    }

    async toggleOptionalField() {
        await super.toggleOptionalField(...arguments);
        this.props.list.model.notify(); // for the notice about a column that is left out
    }
}

class LiveListController extends withEmptyHelp(withLive(ListController)) {
    static template = "pgbouncer_monitor.LiveListView";

    get notices() {
        return [...super.notices, ...this.hiddenColumns];
    }

    /** A notice about the columns that the user chose, and that no server reports. */
    get hiddenColumns() {
        const names = this.archInfo.columns
            .filter(({ name, optional }) => optional === "hide" && this.optionalActiveFields[name])
            .filter(({ name }) => this.reading?.unreported?.includes(name))
            .map(({ label }) => label);
        const text = _t("Not shown, because no server here reports it: %s.", names.join(", "));
        return names.length ? [{ type: "info", text }] : [];
    }
}

class LiveKanbanController extends withEmptyHelp(withLive(KanbanController)) {
    static template = "pgbouncer_monitor.LiveKanbanView";
}

registry.category("views").add("live_list", {
    ...listView,
    Model: LiveListModel,
    Controller: LiveListController,
    Renderer: LiveListRenderer,
});
registry.category("views").add("live_kanban", {
    ...kanbanView,
    Model: LiveListModel,
    Controller: LiveKanbanController,
});
