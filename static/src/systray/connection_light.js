import { Component, onWillStart } from "@odoo/owl";
import { Dropdown } from "@web/core/dropdown/dropdown";
import { DropdownItem } from "@web/core/dropdown/dropdown_item";
import { _t } from "@web/core/l10n/translation";
import { registry } from "@web/core/registry";
import { user } from "@web/core/user";
import { useService } from "@web/core/utils/hooks";
import { LEVELS } from "@pgbouncer_monitor/live/levels";
import { texts } from "@pgbouncer_monitor/overview/texts";
import { useStatus } from "./status";

const { DateTime } = luxon;

/** The light: the worst level and the number of open alerts, and on a click what they are about. */
export class ConnectionLight extends Component {
    static template = "pgbouncer_monitor.ConnectionLight";
    static components = { Dropdown, DropdownItem };
    static props = {};

    setup() {
        this.app = useService("pgbouncer_monitor.app");
        this.action = useService("action");
        this.state = useStatus();
        this.levels = LEVELS;
        this.texts = texts;
        // Odoo's navigation sets it, and it is not allowed in a menu.
        const removeSelection = ({ el }) => el.removeAttribute("aria-selected");
        this.navigationOptions = { onUpdated: ({ items }) => items.forEach(removeSelection) };
    }

    get worstLevel() {
        return this.state.isKnown ? this.state.status.level : "unknown";
    }

    get openAlerts() {
        return this.state.status?.open_alerts ?? 0;
    }

    get label() {
        return _t("Database connections: %(level)s, open alerts: %(count)s", {
            level: LEVELS[this.worstLevel].label,
            count: this.state.isKnown ? this.openAlerts : "?",
        });
    }

    /** Of an endpoint or a check. What is too old is unknown. */
    levelOf({ level }) {
        return this.state.isKnown ? level : "unknown";
    }

    /** When the last sample of an endpoint was taken, e.g. "Measured 2 minutes ago". */
    measured({ age }) {
        if (age === null) {
            return _t("Not measured yet");
        }
        const time = DateTime.fromMillis(this.state.readAt - 1000 * age);
        return _t("Measured %s", time.toRelative({ base: DateTime.fromMillis(this.state.now) }));
    }

    openScreen(name, options) {
        return this.app.open(`pgbouncer_monitor.${name}_action`, options);
    }

    openAlertList() {
        return this.openScreen("connection_alert", {
            additionalContext: { search_default_open: 1 },
        });
    }

    async openEndpoint({ id }) {
        const action = await this.action.loadAction("pgbouncer_monitor.connection_endpoint_action");
        await this.app.open({ ...action, views: [[false, "form"]], res_id: id });
    }
}

/** The light, for whom it is: others see nothing and send no request. */
export class ConnectionLightOfViewers extends Component {
    static template = "pgbouncer_monitor.ConnectionLightOfViewers";
    static components = { ConnectionLight };
    static props = {};

    setup() {
        onWillStart(async () => {
            const isViewer = await user.hasGroup("pgbouncer_monitor.group_viewer");
            this.isOn = isViewer && user.settings.has_connection_light;
        });
    }
}

registry
    .category("systray")
    .add("pgbouncer_monitor.light", { Component: ConnectionLightOfViewers }, { sequence: 30 });
