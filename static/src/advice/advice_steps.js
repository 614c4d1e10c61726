import { Component } from "@odoo/owl";
import { CopyButton } from "@web/core/copy_button/copy_button";
import { registry } from "@web/core/registry";
import { standardFieldProps } from "@web/views/fields/standard_field_props";

/** The lines of a remedy, each with its place and what to do then. */
class AdviceSteps extends Component {
    static template = "pgbouncer_monitor.AdviceSteps";
    static components = { CopyButton };
    static props = { ...standardFieldProps };

    get steps() {
        return this.props.record.data[this.props.name] || [];
    }
}

registry
    .category("fields")
    .add("advice_steps", { component: AdviceSteps, supportedTypes: ["json"] });
