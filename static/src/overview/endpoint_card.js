import { Component, onWillStart, useEffect, useState } from "@odoo/owl";
import { registry } from "@web/core/registry";
import { useService } from "@web/core/utils/hooks";
import { formatInteger } from "@web/views/fields/formatters";
import { standardWidgetProps } from "@web/views/widgets/standard_widget_props";
import { LEVELS } from "@pgbouncer_monitor/live/levels";
import { timeOfDay, useLive } from "@pgbouncer_monitor/live/live";
import { useOpen } from "./open";
import { PressureChart } from "./pressure_chart";

/** How near one endpoint is to its limit: a card of connection.overview. */
export class EndpointCard extends Component {
    static template = "pgbouncer_monitor.EndpointCard";
    static components = { PressureChart };
    static props = { card: Object, isOnForm: { type: Boolean, optional: true } };

    setup() {
        this.levels = LEVELS;
        this.formatInteger = formatInteger;
        this.timeOfDay = timeOfDay;
        this.open = useOpen();
    }
}

/** The card on the endpoint's own form. */
class EndpointCardWidget extends Component {
    static template = "pgbouncer_monitor.EndpointCardWidget";
    static components = { EndpointCard };
    static props = { ...standardWidgetProps };

    setup() {
        this.orm = useService("orm");
        this.state = useState({ card: null });
        this.live = useLive({ read: () => this.read() });
        onWillStart(() => this.live.refresh());
        useEffect(
            () => {
                if (this.state.card?.id !== this.props.record.resId) {
                    this.state.card = null;
                    this.live.refresh();
                }
            },
            () => [this.props.record.resId],
        );
    }

    async read() {
        const { resId } = this.props.record;
        if (resId) {
            this.state.card = await this.orm.silent.call("connection.overview", "get_card", [
                resId,
            ]);
        }
    }
}

registry.category("view_widgets").add("endpoint_card", { component: EndpointCardWidget });
