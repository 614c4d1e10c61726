import { onMounted, onWillUnmount, useState } from "@odoo/owl";
import { browser } from "@web/core/browser/browser";
import { deserializeDateTime } from "@web/core/l10n/dates";
import { _t } from "@web/core/l10n/translation";
import { registry } from "@web/core/registry";
import { RelationalModel } from "@web/model/relational_model/relational_model";
import { ListController } from "@web/views/list/list_controller";
import { listView } from "@web/views/list/list_view";

// How long to wait before the rows are read again, in milliseconds.
const REFRESH_DELAY = 5000;
// A slow reading is followed by so many times its own duration: one that waits for a server
// that hangs must not keep Odoo's workers busy.
const REFRESH_DELAY_FACTOR = 5;
// After so many milliseconds without an answer the user is told that the rows are old.
const PATIENCE = 15000;

/** Keeps what the server says about its reading beside the rows: see connection.notices. */
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
     * Reads the same page again. The rows are dropped if the user did anything meanwhile:
     * searched, turned the page, opened a group, selected a row. That comes first.
     */
    async refresh() {
        const { root, userLoads } = this;
        const config = { ...root.config };
        // Otherwise groups that are gone would stay, with 0 in each column.
        delete config.currentGroups;
        const data = await this._loadData(config);
        if (this.userLoads === userLoads && !root.selection.length) {
            Object.assign(root.config, config);
            root._setData(data);
        }
    }
}

/**
 * A list that reads its rows again by itself, says of when they are, and shows what is
 * missing from them. It rests while the page is hidden or rows are selected.
 */
export class LiveListController extends ListController {
    static template = "pgbouncer_monitor.LiveListView";

    setup() {
        super.setup();
        this.live = useState({ on: true, failure: "" });
        let timer;
        const refreshIn = (delay) => {
            timer = browser.setTimeout(async () => {
                const started = Date.now();
                if (this.live.on && !document.hidden && !this.hasSelectedRecords) {
                    await this.refresh();
                }
                if (timer) {
                    const slow = (Date.now() - started) * REFRESH_DELAY_FACTOR;
                    refreshIn(Math.max(REFRESH_DELAY, slow));
                }
            }, delay);
        };
        onMounted(() => refreshIn(REFRESH_DELAY));
        onWillUnmount(() => {
            browser.clearTimeout(timer);
            timer = null;
        });
    }

    /** Reads the rows again. If that fails the old ones stay, and a notice says so. */
    async refresh() {
        if (!this.model.isReady) {
            return;
        }
        const impatience = browser.setTimeout(() => {
            this.live.failure = _t("Odoo does not answer.");
        }, PATIENCE);
        try {
            await this.model.refresh();
            this.live.failure = "";
        } catch (error) {
            this.live.failure = error.data?.message || error.message;
        } finally {
            browser.clearTimeout(impatience);
        }
    }

    async toggleLive() {
        this.live.on = !this.live.on;
        if (this.live.on) {
            await this.refresh();
        }
    }

    get reading() {
        return this.model.root.config.reading;
    }

    /** What the rows do not show: the server's notices, and that it did not answer at all. */
    get notices() {
        const notices = this.reading?.notices || [];
        if (!this.live.failure) {
            return notices;
        }
        const text = _t("These are the rows of %(time)s. They could not be read again: %(error)s", {
            time: this.readAt,
            error: this.live.failure,
        });
        return [{ type: "danger", text }, ...notices];
    }

    /** The time of the rows on the user's clock, e.g. 14:03:05. */
    get readAt() {
        return this.reading ? deserializeDateTime(this.reading.read_at).toFormat("HH:mm:ss") : "";
    }
}

registry.category("views").add("live_list", {
    ...listView,
    Model: LiveListModel,
    Controller: LiveListController,
});
