import { onMounted, onWillUnmount, useState } from "@odoo/owl";
import { browser } from "@web/core/browser/browser";
import { deserializeDateTime } from "@web/core/l10n/dates";
import { registry } from "@web/core/registry";
import { RelationalModel } from "@web/model/relational_model/relational_model";
import { ListController } from "@web/views/list/list_controller";
import { listView } from "@web/views/list/list_view";

// How often the rows are read again, in milliseconds.
const REFRESH_INTERVAL = 5000;
// A load that the user's own next load overtakes never ends: after this it is forgotten.
const LOAD_TIMEOUT = 15000;

/** Keeps what the server says about a reading beside its rows: see connection.live. */
export class LiveListModel extends RelationalModel {
    setup() {
        super.setup(...arguments);
        this.reading = null;
    }

    async _loadUngroupedList() {
        return this._keepReading(await super._loadUngroupedList(...arguments));
    }

    async _webReadGroup() {
        return this._keepReading(await super._webReadGroup(...arguments));
    }

    _keepReading(result) {
        this.reading = result.reading;
        return result;
    }
}

/**
 * A list that reads its rows again by itself, says of when they are, and shows what is
 * missing from them. It rests while the page is hidden, or rows are selected, so that
 * nothing changes under the user's hands.
 */
export class LiveListController extends ListController {
    static template = "pgbouncer_monitor.LiveListView";

    setup() {
        super.setup();
        this.live = useState({ on: true, failure: "" });
        let timer;
        const refreshLater = () => {
            timer = browser.setTimeout(async () => {
                if (this.live.on && !document.hidden && !this.hasSelectedRecords) {
                    await this.refresh();
                }
                if (timer) {
                    refreshLater();
                }
            }, REFRESH_INTERVAL);
        };
        onMounted(refreshLater);
        onWillUnmount(() => {
            browser.clearTimeout(timer);
            timer = null;
        });
    }

    /** Reads the rows again. A failure is shown beside the time of the rows that stay. */
    async refresh() {
        try {
            await Promise.race([
                this.model.load(),
                new Promise((resolve) => browser.setTimeout(resolve, LOAD_TIMEOUT)),
            ]);
            this.live.failure = "";
        } catch (error) {
            this.live.failure = error.message;
        }
    }

    async toggleLive() {
        this.live.on = !this.live.on;
        if (this.live.on) {
            await this.refresh();
        }
    }

    get notices() {
        return this.model.reading?.notices || [];
    }

    /** The time of the rows on the user's clock, e.g. 14:03:05. */
    get readAt() {
        const { reading } = this.model;
        return reading ? deserializeDateTime(reading.read_at).toFormat("HH:mm:ss") : "";
    }
}

registry.category("views").add("live_list", {
    ...listView,
    Model: LiveListModel,
    Controller: LiveListController,
});
