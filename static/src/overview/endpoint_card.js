import { Component, onMounted, useState, xml } from "@odoo/owl";
import { registry } from "@web/core/registry";
import { useService } from "@web/core/utils/hooks";
import { standardWidgetProps } from "@web/views/widgets/standard_widget_props";
import { LEVELS } from "@pgbouncer_monitor/live/levels";
import { useLive } from "@pgbouncer_monitor/live/live";
import { OpenLink } from "./open_link";
import { PressureChart } from "./pressure_chart";
import { texts } from "./texts";

/** How close an endpoint is to its limits: a card of connection.overview. */
export class EndpointCard extends Component {
    static template = "pgbouncer_monitor.EndpointCard";
    static components = { OpenLink, PressureChart };
    static props = { card: Object, isOnForm: { type: Boolean, optional: true } };

    setup() {
        this.levels = LEVELS;
        this.texts = texts;
    }
}

/** A card that loads and refreshes itself. */
class LiveEndpointCard extends Component {
    static template = "pgbouncer_monitor.LiveEndpointCard";
    static components = { EndpointCard };
    static props = { endpointId: Number };

    setup() {
        this.orm = useService("orm");
        this.state = useState({ card: null });
        this.live = useLive({
            read: async () => {
                const ids = [this.props.endpointId];
                this.state.card = await this.orm.silent.call(
                    "connection.overview",
                    "get_card",
                    ids,
                );
            },
        });
        // The form opens without waiting for a server that hangs.
        onMounted(this.live.refresh);
    }
}

/** The card on the endpoint's own form. */
class EndpointCardWidget extends Component {
    static template = xml`
        <LiveEndpointCard
            t-if="props.record.resId"
            t-key="props.record.resId"
            endpointId="props.record.resId"
        />`;
    static components = { LiveEndpointCard };
    static props = { ...standardWidgetProps };
}

registry.category("view_widgets").add("endpoint_card", { component: EndpointCardWidget });
