import { Component } from "@odoo/owl";
import { useService } from "@web/core/utils/hooks";

/**
 * A button in the shape of a link, which opens what is behind it: of a `link` of connection.overview the
 * rows of a list, of a `record`, a model and an id, its form, or the `action` with that name.
 */
export class OpenLink extends Component {
    static template = "pgbouncer_monitor.OpenLink";
    static props = {
        link: { type: Object, optional: true },
        record: { type: Array, optional: true },
        action: { type: String, optional: true },
        class: { type: String, optional: true },
        label: { type: String, optional: true }, // if the text alone does not say what it opens
        title: { type: String, optional: true },
        text: { optional: true }, // unless there is a slot
        slots: { type: Object, optional: true },
    };

    setup() {
        this.action = useService("action");
    }

    async open() {
        const { link, record, action } = this.props;
        if (link) {
            const filter = { description: link.label, domain: link.domain };
            await this.action.doAction(
                { ...(await this.loadOfModel(link.model)), context: {} },
                { props: { dynamicFilters: [filter], activateFavorite: false } },
            );
        } else if (record) {
            const [model, id] = record;
            const form = { views: [[false, "form"]], res_id: id, context: {} };
            await this.action.doAction({ ...(await this.loadOfModel(model)), ...form });
        } else {
            await this.action.doAction(await this.load(action));
        }
    }

    load(name) {
        return this.action.loadAction(`pgbouncer_monitor.${name}_action`);
    }

    loadOfModel(model) {
        return this.load(model.replaceAll(".", "_"));
    }
}
