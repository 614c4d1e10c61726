import { Component } from "@odoo/owl";
import { cookie } from "@web/core/browser/cookie";
import { getColor } from "@web/core/colors/colors";
import { CopyButton } from "@web/core/copy_button/copy_button";
import { downloadFile } from "@web/core/network/download";
import { registry } from "@web/core/registry";
import { formatInteger } from "@web/views/fields/formatters";
import { standardFieldProps } from "@web/views/fields/standard_field_props";
import { LEVELS } from "@pgbouncer_monitor/live/levels";
import { labelled } from "@pgbouncer_monitor/live/live";

const colorScheme = cookie.get("color_scheme");

/** What a plan results in: a computed field of connection.plan, which is empty if the plan has errors. */
class PlanField extends Component {
    static props = { ...standardFieldProps };

    setup() {
        this.levels = LEVELS;
        this.labelled = labelled;
    }

    get value() {
        return this.props.record.data[this.props.name];
    }
}

/** Connections as stacked bars, without and with PgBouncer, against the line of what PostgreSQL has. */
class PlanChart extends PlanField {
    static template = "pgbouncer_monitor.PlanChart";

    /** A width or position in percent of the chart's. */
    percent(count) {
        return `${(100 * count) / this.value.scale}%`;
    }

    /** The parts of a bar with their colors. */
    parts(bar) {
        return bar.parts.map((part) => ({
            ...part,
            color: getColor(2 * part.color, colorScheme, "lg"),
        }));
    }
}

/** Each kind of client, with its connections and the reason. */
class PlanDemand extends PlanField {
    static template = "pgbouncer_monitor.PlanDemand";

    setup() {
        super.setup();
        this.formatInteger = formatInteger;
    }

    total(name) {
        return this.value.reduce((sum, row) => sum + row[name], 0);
    }
}

/** The conclusion: without PgBouncer, with it, and what else must be known. */
class PlanVerdict extends PlanField {
    static template = "pgbouncer_monitor.PlanVerdict";
}

/** The proposed settings with their reasons, and what is wrong. */
class PlanProposal extends PlanField {
    static template = "pgbouncer_monitor.PlanProposal";

    /** The findings that are not shown above all pages. */
    get moreFindings() {
        const { findings, verdict } = this.value;
        return findings.filter(({ text }) => !verdict.some((finding) => finding.text === text));
    }
}

/** The files, to copy and to download. */
class PlanFiles extends PlanField {
    static template = "pgbouncer_monitor.PlanFiles";
    static components = { CopyButton };

    download(name) {
        downloadFile(this.value[name], name, "text/plain");
    }
}

/** What runs beside what is proposed. */
class PlanComparison extends PlanField {
    static template = "pgbouncer_monitor.PlanComparison";
}

/** The steps from here to the plan, and back. */
class PlanRollout extends PlanField {
    static template = "pgbouncer_monitor.PlanRollout";
    static components = { CopyButton };
}

for (const [name, component] of Object.entries({
    plan_verdict: PlanVerdict,
    plan_chart: PlanChart,
    plan_demand: PlanDemand,
    plan_proposal: PlanProposal,
    plan_files: PlanFiles,
    plan_comparison: PlanComparison,
    plan_rollout: PlanRollout,
})) {
    registry.category("fields").add(name, { component, supportedTypes: ["json"] });
}
