import { Component, onWillStart, onWillUnmount, useState } from "@odoo/owl";
import { browser } from "@web/core/browser/browser";
import { CopyButton } from "@web/core/copy_button/copy_button";
import { deserializeDateTime, formatDateTime } from "@web/core/l10n/dates";
import { _t } from "@web/core/l10n/translation";
import { registry } from "@web/core/registry";
import { user } from "@web/core/user";
import { useService } from "@web/core/utils/hooks";
import { Layout } from "@web/search/layout";
import { standardActionServiceProps } from "@web/webclient/actions/action_service";
import { standardWidgetProps } from "@web/views/widgets/standard_widget_props";
import { LEVELS } from "@pgbouncer_monitor/live/levels";
import { labelled } from "@pgbouncer_monitor/live/live";

// In milliseconds. The last one is longer than the server's own deadline.
const POLL_DELAY = 500;
const CONNECT_PATIENCE = 5000;
const ECHO_PATIENCE = 3000;
const BUS_PATIENCE = 15000;

const sleep = (delay) => new Promise((resolve) => browser.setTimeout(resolve, delay));

/** Return the value of a promise, or null if it takes longer than a number of milliseconds. */
const within = (delay, promise) => Promise.race([promise, sleep(delay).then(() => null)]);

/** The last LISTEN check, and a button that starts one and shows its steps. */
export class ListenCheck extends Component {
    static template = "pgbouncer_monitor.ListenCheck";
    static components = { CopyButton };
    static props = { ...standardWidgetProps, record: { type: Object, optional: true } };

    setup() {
        this.orm = useService("orm");
        this.action = useService("action");
        this.busService = useService("bus_service");
        this.levels = LEVELS;
        this.state = useState({ checks: [], steps: [], isRunning: false, failure: "" });
        this.echoes = {};
        this.isGone = false;
        const onEcho = ({ nonce }) => this.echoes[nonce]?.();
        this.busService.subscribe("pgbouncer_monitor/echo", onEcho);
        onWillStart(async () => {
            this.isManager = await user.hasGroup("pgbouncer_monitor.group_manager");
            await this.load();
        });
        onWillUnmount(() => {
            this.isGone = true;
            this.busService.unsubscribe("pgbouncer_monitor/echo", onEcho);
        });
    }

    async load() {
        const checks = await this.orm.call("connection.check", "last", []);
        const labels = await this.orm
            .cache()
            .call("connection.check", "fields_get", [["listener", "verdict"], ["selection"]]);
        for (const check of checks) {
            for (const name of ["listener", "verdict"]) {
                check[`${name}_label`] = Object.fromEntries(labels[name].selection)[check[name]];
            }
            check.time = formatDateTime(deserializeDateTime(check.checked_at));
        }
        this.state.checks = checks;
    }

    /** Return the steps of the running check, or of the last one: those of the bus, then those of cron. */
    get steps() {
        if (this.state.steps.length) {
            return this.state.steps;
        }
        const steps = this.state.checks.flatMap((check) => check.steps || []);
        return steps.filter(
            ({ name }, index) => steps.findIndex((step) => step.name === name) === index,
        );
    }

    /** Return each remedy once: one may fix both the bus and cron. */
    get remedies() {
        const remedies = this.state.checks.flatMap((check) => check.remedies || []);
        const key = ({ title, lines }) => `${title} ${lines}`;
        return remedies.filter(
            (remedy, index) => remedies.findIndex((other) => key(other) === key(remedy)) === index,
        );
    }

    /** Return the last checks as text, for a ticket. */
    get text() {
        return this.state.checks
            .map(
                ({
                    listener_label,
                    verdict_label,
                    summary,
                    checked_at,
                    server,
                    others,
                    evidence,
                    remedy,
                }) =>
                    [
                        labelled(listener_label, verdict_label),
                        summary,
                        `${checked_at} UTC, ${server}`,
                        others,
                        evidence,
                        remedy,
                    ]
                        .filter(Boolean)
                        .join("\n\n"),
            )
            .join("\n\n----\n\n");
    }

    async check() {
        this.state.isRunning = true;
        this.state.failure = "";
        try {
            const run = await this.orm.call("connection.check.run", "start", []);
            this.state.steps = run.steps;
            for (const step of this.state.steps) {
                await this.runStep(run, step);
            }
            await this.orm.call("connection.check.run", "finish", [[run.id]]);
            await this.load();
        } catch (error) {
            this.state.failure = _t("The check failed: %s", error.data?.message || error.message);
        } finally {
            this.state.isRunning = false;
            this.state.steps = [];
        }
    }

    async runStep(run, step) {
        step.isRunning = true;
        let answer = null;
        if (step.name === "bus") {
            answer = await this.queryBusProcess(run);
        } else if (step.name === "browser") {
            answer = await this.listenToEchoes(run);
        }
        do {
            if (step.is_pending) {
                await sleep(POLL_DELAY);
            }
            Object.assign(
                step,
                await this.orm.call("connection.check.run", "step", [[run.id], step.name, answer]),
            );
        } while (step.is_pending && !this.isGone);
        step.isRunning = false;
    }

    /** Return the answer of the process behind this browser's websocket, null if there is none. */
    async queryBusProcess({ id, token }) {
        const answer = browser
            .fetch(`/websocket/pgbouncer_monitor/listen?run_id=${id}&whom=anybody`, {
                headers: { "X-Listen-Check-Token": token },
            })
            .then((response) => (response.ok ? response.json() : null));
        return within(
            BUS_PATIENCE,
            answer.catch(() => null),
        );
    }

    /** Return the seconds that each of some notifications took, null for one that was lost. */
    async listenToEchoes(run) {
        await within(CONNECT_PATIENCE, this.connected());
        const delays = [];
        while (delays.length < run.echoes && !delays.includes(null)) {
            delays.push(await this.listenToEcho(run));
        }
        return delays;
    }

    async connected() {
        await this.busService.start();
        while (this.busService.workerState !== "CONNECTED" && !this.isGone) {
            await sleep(POLL_DELAY);
        }
    }

    async listenToEcho(run) {
        const nonce = crypto.getRandomValues(new Uint32Array(4)).join("-");
        const arrived = new Promise(
            (resolve) => (this.echoes[nonce] = () => resolve(performance.now())),
        );
        const started = performance.now();
        let isSent = false;
        try {
            isSent = await this.orm.call("connection.check.run", "echo", [[run.id], nonce]);
        } catch {
            // A notification that cannot be sent counts as lost.
        }
        const at = isSent ? await within(ECHO_PATIENCE, arrived) : null;
        delete this.echoes[nonce];
        return at === null ? null : (at - started) / 1000;
    }

    openChecks() {
        this.action.doAction("pgbouncer_monitor.connection_check_action");
    }
}

export class ListenCheckAction extends Component {
    static template = "pgbouncer_monitor.ListenCheckAction";
    static components = { Layout, ListenCheck };
    static props = { ...standardActionServiceProps };
}

registry.category("view_widgets").add("listen_check", { component: ListenCheck });
registry.category("actions").add("pgbouncer_monitor.listen_check", ListenCheckAction);
