import { Component } from "@odoo/owl";
import { _t } from "@web/core/l10n/translation";
import { registry } from "@web/core/registry";
import { formatFloat } from "@web/views/fields/formatters";
import { standardFieldProps } from "@web/views/fields/standard_field_props";
import { FormController } from "@web/views/form/form_controller";
import { formView } from "@web/views/form/form_view";
import { labelled } from "@pgbouncer_monitor/live/live";
import { PressureChart } from "@pgbouncer_monitor/overview/pressure_chart";

const MINUTES = { hour: 60, day: 1440 };
// The most that the axis counts in minutes, and in hours.
const MAX_MINUTES = 300;
const MAX_HOURS = 96;
const MAX_TICKS = 8;

// Points that differ by more than their colors, too: one between two gaps has no line.
const POINT_STYLES = ["circle", "triangle"];

const formatNumber = (value, decimals) =>
    value === null ? "?" : formatFloat(value, { digits: [16, decimals], trailingZeros: false });

/** Two lines by the time since the start of their periods: a `chart` of connection.comparison. */
class ComparisonChart extends PressureChart {
    /** How many minutes a unit of the axis has, its title, and the round distances between two ticks. */
    get unit() {
        const { minutes } = this.props.chart;
        if (minutes <= MAX_MINUTES) {
            return {
                size: 1,
                title: _t("Minutes since the start"),
                steps: [1, 2, 5, 10, 20, 30, 60],
            };
        }
        return minutes <= MAX_HOURS * MINUTES.hour
            ? {
                  size: MINUTES.hour,
                  title: _t("Hours since the start"),
                  steps: [1, 2, 3, 6, 12],
              }
            : {
                  size: MINUTES.day,
                  title: _t("Days since the start"),
                  steps: [1, 2, 5, 10, 20, 50],
              };
    }

    format(value) {
        return formatNumber(value, this.props.chart.decimals);
    }

    get description() {
        const described = this.props.chart.lines.map(({ label, points }) => {
            const known = points.map(([, value]) => value).filter((value) => value !== null);
            return known.length
                ? _t("%(label)s: %(lowest)s to %(highest)s", {
                      label,
                      lowest: this.format(Math.min(...known)),
                      highest: this.format(Math.max(...known)),
                  })
                : _t("%s: unknown", label);
        });
        return [this.props.chart.label, this.unit.title, ...described].join(". ");
    }

    get datasets() {
        const hasValue = (point) => point && point.y !== null;
        return super.datasets.map((dataset, index) => ({
            ...dataset,
            clip: 6, // a point at the edge is drawn in full
            pointStyle: POINT_STYLES[index],
            pointRadius: ({ dataIndex, dataset: { data } }) =>
                hasValue(data[dataIndex - 1]) || hasValue(data[dataIndex + 1]) ? 1 : 4,
        }));
    }

    get tooltip() {
        return {
            callbacks: {
                title: ([item]) =>
                    item &&
                    labelled(this.unit.title, formatNumber(item.parsed.x / this.unit.size, 2)),
                label: ({ dataset, parsed }) => labelled(dataset.label, this.format(parsed.y)),
            },
        };
    }

    get scales() {
        const { x, y } = super.scales;
        const { size, title, steps } = this.unit;
        return {
            y: { ...y, suggestedMax: undefined, ticks: { ...y.ticks, maxTicksLimit: 6 } },
            x: {
                ...x,
                ticks: {
                    ...x.ticks,
                    stepSize: undefined,
                    callback: (value) => formatNumber(value / size, 0),
                },
                title: { display: true, text: title, color: y.ticks.color },
                afterBuildTicks: (axis) => {
                    const count = this.props.chart.minutes / size;
                    const step = steps.find((number) => count / number <= MAX_TICKS);
                    axis.ticks = [...Array(Math.floor(count / step) + 1)].map((_, index) => ({
                        value: index * step * size,
                    }));
                },
            },
        };
    }
}

/** The figures of two periods, and their lines: the computed field of connection.comparison. */
class ComparisonField extends Component {
    static template = "pgbouncer_monitor.Comparison";
    static components = { ComparisonChart };
    static props = { ...standardFieldProps };

    get value() {
        return this.props.record.data[this.props.name];
    }

    chart({ chart }) {
        const lines = this.value.periods.map(({ label, start }, index) => ({
            label: labelled(label, start),
            points: chart.lines[index],
        }));
        return { ...chart, lines, thresholds: [], since: 0, until: chart.minutes };
    }
}

registry
    .category("fields")
    .add("comparison", { component: ComparisonField, supportedTypes: ["json"] });

/** What is chosen is saved when the user leaves, so that the way back shows it again. There is nothing to press. */
class ComparisonFormController extends FormController {
    static template = "pgbouncer_monitor.ComparisonFormView";

    displayName() {
        return _t("Compare");
    }
}

registry
    .category("views")
    .add("comparison_form", { ...formView, Controller: ComparisonFormController });
