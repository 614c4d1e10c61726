import { Component, onPatched, onWillPatch, onWillStart, useRef, useState } from "@odoo/owl";
import { browser } from "@web/core/browser/browser";
import { ConfirmationDialog } from "@web/core/confirmation_dialog/confirmation_dialog";
import { _t } from "@web/core/l10n/translation";
import { registry } from "@web/core/registry";
import { delay } from "@web/core/utils/concurrency";
import { useService } from "@web/core/utils/hooks";
import { useSetupAction } from "@web/search/action_hook";
import { Layout } from "@web/search/layout";
import { standardActionServiceProps } from "@web/webclient/actions/action_service";
import { LEVELS } from "@pgbouncer_monitor/live/levels";
import { REFRESH_DELAY, timeOfDay, useLive } from "@pgbouncer_monitor/live/live";
import { EndpointCard } from "./endpoint_card";
import { FirstSteps } from "./first_steps";
import { OpenLink } from "./open_link";
import { texts } from "./texts";

// The choices for the refresh interval, in seconds; 0 is never.
const INTERVALS = [5, 10, 30, 60, 0];
const DEFAULT_INTERVAL = 10;
const INTERVAL_KEY = "pgbouncer_monitor.overview_interval";

// How many milliseconds to wait for the first answer before the page opens without it.
const FIRST_PATIENCE = 2000;

const SIGNALS = {
    cancel: {
        method: "action_cancel",
        label: _t("Cancel Query"),
        body: _t(
            "The query that the session is running fails, and its transaction is rolled back. The session stays connected.",
        ),
    },
    terminate: {
        method: "action_terminate",
        label: _t("Terminate"),
        body: _t(
            "The session ends, its transaction is rolled back, and its client gets an error. Behind PgBouncer this is the client that is using the server connection at this moment.",
        ),
    },
};

/** The interval that this browser chose last, in seconds. */
function storedInterval() {
    const interval = Number(browser.localStorage.getItem(INTERVAL_KEY) ?? NaN);
    return INTERVALS.includes(interval) ? interval : DEFAULT_INTERVAL;
}

/** The first screen: limits, waits, and who holds the connections. See connection.overview. */
export class Overview extends Component {
    static template = "pgbouncer_monitor.Overview";
    static components = { Layout, EndpointCard, FirstSteps, OpenLink };
    static props = { ...standardActionServiceProps };

    setup() {
        this.orm = useService("orm");
        this.action = useService("action");
        this.dialog = useService("dialog");
        Object.assign(this, { intervals: INTERVALS, levels: LEVELS, signals: SIGNALS });
        Object.assign(this, { texts, timeOfDay });
        this.state = useState({
            data: null,
            interval: storedInterval(),
            areAllShown: Boolean(this.props.state?.areAllShown),
        });
        this.live = useLive({
            read: () => this.read(),
            isPaused: () => !this.state.interval,
            delay: () => this.state.interval * 1000 || REFRESH_DELAY,
        });
        this.root = useRef("root");
        useSetupAction({
            rootRef: this.root,
            getLocalState: () => ({ areAllShown: this.state.areAllShown }),
        });
        // A server that hangs does not keep the page from opening.
        onWillStart(() => Promise.race([this.live.refresh(), delay(FIRST_PATIENCE)]));
        this.keepFocus();
    }

    async read() {
        this.state.data = await this.orm.silent.call("connection.overview", "get_overview", []);
    }

    /** Keep the focus also when rows change places, where the browser would lose it. */
    keepFocus() {
        let focused;
        onWillPatch(() => (focused = document.activeElement));
        onPatched(() => {
            if (this.root.el?.contains(focused) && focused !== document.activeElement) {
                focused.focus({ preventScroll: true });
            }
        });
    }

    /** How many endpoints have each level, the worst first. */
    get levelCounts() {
        return ["critical", "warning", "unknown", "ok"]
            .map((level) => ({
                level,
                count: this.state.data.cards.filter((card) => card.level === level).length,
            }))
            .filter(({ count }) => count);
    }

    get isPgbouncerWatched() {
        return this.state.data.cards.some(({ kind }) => kind === "pgbouncer");
    }

    get cards() {
        const { cards, first_cards } = this.state.data;
        return this.state.areAllShown ? cards : cards.slice(0, first_cards);
    }

    setInterval(value) {
        const interval = Number(value);
        this.state.interval = interval;
        browser.localStorage.setItem(INTERVAL_KEY, interval);
        this.live.restart();
    }

    /** Cancels or terminates a session, after a confirmation. */
    signal({ id, pid, action }) {
        const { method, label, body } = SIGNALS[action];
        this.dialog.add(ConfirmationDialog, {
            title: _t("%(label)s: PID %(pid)s", { label, pid }),
            body,
            confirmLabel: label,
            confirm: async () => {
                const notification = await this.orm.call("pg.stat.activity", method, [[id]]);
                // This page refreshes itself, and keeps its scroll position.
                delete notification.params.next;
                await this.action.doAction(notification);
                this.live.refresh();
            },
            cancel: () => {},
        });
    }
}

registry.category("actions").add("pgbouncer_monitor.overview", Overview);
