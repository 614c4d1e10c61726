import { Component, onWillStart, onWillUnmount, useEffect, useRef } from "@odoo/owl";
import { loadBundle } from "@web/core/assets";
import { cookie } from "@web/core/browser/cookie";
import { getColor, getCustomColor } from "@web/core/colors/colors";
import { _t } from "@web/core/l10n/translation";
import { texts } from "./texts";

const { DateTime } = luxon;

const colorScheme = cookie.get("color_scheme");
const GRID_COLOR = getCustomColor(colorScheme, "#d8dadd", "#3C3E4B");
const LABEL_COLOR = getCustomColor(colorScheme, "#374151", "#E4E4E4");
// Lines differ by more than their colors: the styles for CSS and for Chart.js.
const LINE_STYLES = ["solid", "dotted"];
const LINE_DASHES = [[], [2, 2]];
const LINE_COLORS = [getColor(0, colorScheme, "md"), getColor(8, colorScheme, "md")];
const THRESHOLD_COLORS = { warning: "#b45309", critical: "#dc3545" };

// Seconds between two times of day on the axis.
const TICK = 900;

const timeOfDay = (seconds) => DateTime.fromSeconds(seconds).toFormat("HH:mm");

/** The last hour as lines, with the thresholds drawn in: a `chart` of connection.overview. */
export class PressureChart extends Component {
    static template = "pgbouncer_monitor.PressureChart";
    static props = { chart: Object };

    setup() {
        this.canvas = useRef("canvas");
        onWillStart(() => loadBundle("web.chartjs_lib"));
        useEffect(
            () => {
                this.chart ||= new Chart(this.canvas.el, { type: "line" });
                Object.assign(this.chart, this.config);
                this.chart.update("none");
            },
            () => [JSON.stringify(this.props.chart)],
        );
        onWillUnmount(() => this.chart.destroy());
    }

    /** The lines and thresholds with their colors, as the legend shows them. */
    get legend() {
        const { lines, thresholds } = this.props.chart;
        return [
            ...lines.map(({ label }, index) => ({
                label,
                color: LINE_COLORS[index],
                style: LINE_STYLES[index],
            })),
            ...thresholds.map(({ label, level, percent }) => ({
                label: `${label} ${percent}`,
                color: THRESHOLD_COLORS[level],
                style: "dashed",
            })),
        ];
    }

    /** What the lines show, in words. */
    get description() {
        const described = this.props.chart.lines.map(({ label, points }) => {
            const known = points
                .map(([, percent]) => percent)
                .filter((percent) => percent !== null);
            if (!known.length) {
                return _t("%s: unknown", label);
            }
            return _t("%(label)s: %(lowest)s to %(highest)s, last %(last)s", {
                label,
                lowest: Math.round(Math.min(...known)),
                highest: Math.round(Math.max(...known)),
                last: Math.round(known.at(-1)),
            });
        });
        const thresholds = this.props.chart.thresholds.map(
            ({ label, percent }) => `${label} ${percent}`,
        );
        return _t("Last hour. %s", [...described, ...thresholds].join(". "));
    }

    get config() {
        return {
            data: { datasets: this.datasets },
            options: {
                animation: false,
                maintainAspectRatio: false,
                interaction: { mode: "nearest", axis: "x", intersect: false },
                plugins: { legend: { display: false }, tooltip: this.tooltip },
                scales: this.scales,
            },
        };
    }

    get datasets() {
        const { since, until, lines, thresholds } = this.props.chart;
        const dataset = (label, color, points) => ({
            label,
            data: points.map(([x, y]) => ({ x, y })),
            borderColor: color,
            backgroundColor: color,
        });
        const both = (percent) => [
            [since, percent],
            [until, percent],
        ];
        return [
            ...lines.map(({ label, points }, index) => ({
                ...dataset(label, LINE_COLORS[index], points),
                borderWidth: 2,
                borderDash: LINE_DASHES[index],
                pointRadius: 1,
            })),
            ...thresholds.map(({ label, level, percent }) => ({
                ...dataset(label, THRESHOLD_COLORS[level], both(percent)),
                borderWidth: 1,
                borderDash: [6, 4],
                pointRadius: 0,
                pointHitRadius: 0,
            })),
        ];
    }

    get tooltip() {
        return {
            filter: ({ datasetIndex }) => datasetIndex < this.props.chart.lines.length,
            callbacks: {
                title: ([item]) => item && timeOfDay(item.parsed.x),
                label: ({ dataset, parsed }) =>
                    texts.labelled(dataset.label, texts.percent(parsed.y)),
            },
        };
    }

    get scales() {
        const { since, until } = this.props.chart;
        return {
            y: {
                min: 0,
                suggestedMax: 100,
                ticks: { maxTicksLimit: 4, color: LABEL_COLOR },
                grid: { color: GRID_COLOR },
            },
            x: {
                type: "linear",
                min: since,
                max: until,
                ticks: { maxRotation: 0, color: LABEL_COLOR, callback: timeOfDay },
                afterBuildTicks: (axis) => {
                    const first = Math.ceil(since / TICK) * TICK;
                    const count = Math.floor((until - first) / TICK) + 1;
                    axis.ticks = [...Array(count)].map((_, index) => ({
                        value: first + index * TICK,
                    }));
                },
                grid: { display: false },
            },
        };
    }
}
