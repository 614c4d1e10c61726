import { _t } from "@web/core/l10n/translation";
import { registry } from "@web/core/registry";
import { RelationalModel } from "@web/model/relational_model/relational_model";
import { ListController } from "@web/views/list/list_controller";
import { listView } from "@web/views/list/list_view";
import { timeOfDay, useLive } from "@pgbouncer_monitor/live/live";

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
        return result;
    }

    async _webReadGroup(config) {
        const result = await super._webReadGroup(...arguments);
        config.reading = result.reading;
        return result;
    }

    /**
     * Reads the same page again. The new rows are dropped if the user did anything meanwhile:
     * searched, turned the page, opened a group, selected a row.
     */
    async refresh() {
        const { root, userLoads } = this;
        const config = { ...root.config };
        // Otherwise groups that no longer exist would stay, with 0 in each column.
        delete config.currentGroups;
        const data = await this._loadData(config);
        if (this.userLoads === userLoads && !root.selection.length) {
            Object.assign(root.config, config);
            root._setData(data);
        }
    }
}

/**
 * A list that refreshes itself, with the time of its rows and notices about missing ones.
 * It pauses while the page is hidden or rows are selected.
 */
export class LiveListController extends ListController {
    static template = "pgbouncer_monitor.LiveListView";

    setup() {
        super.setup();
        this.live = useLive({
            read: () => this.model.isReady && this.model.refresh(),
            isPaused: () => this.hasSelectedRecords,
        });
    }

    async toggleLive() {
        this.live.on = !this.live.on;
        if (this.live.on) {
            await this.live.refresh();
        }
    }

    get reading() {
        return this.model.root.config.reading;
    }

    /** What the rows do not show: the server's notices, and a failed refresh. */
    get notices() {
        const notices = this.reading?.notices || [];
        if (!this.live.failure) {
            return notices;
        }
        const text = _t("Rows from %(time)s. Refresh failed: %(error)s", {
            time: this.readAt,
            error: this.live.failure,
        });
        return [{ type: "danger", text }, ...notices];
    }

    /** The time of the rows on the user's clock, e.g. 14:03:05. */
    get readAt() {
        return timeOfDay(this.reading?.read_at);
    }
}

registry.category("views").add("live_list", {
    ...listView,
    Model: LiveListModel,
    Controller: LiveListController,
});
