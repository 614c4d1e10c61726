import { cookie } from "@web/core/browser/cookie";
import { deserializeDateTime } from "@web/core/l10n/dates";
import { _t } from "@web/core/l10n/translation";

const { DateTime } = luxon;

// Fields of connection.sample to group by, their milliseconds, and the format of their labels.
const BUCKETS = { minute: 60_000, ten_minutes: 600_000, hour: 3_600_000 };
const LABEL_FORMAT = "yyyy-MM-dd HH:mm";

// On the shaded background, texts have a contrast of at least 4.5.
const COLORS =
    cookie.get("color_scheme") === "dark"
        ? { warning: "#fbbf24", critical: "#ff8f98" }
        : { warning: "#92400e", critical: "#b02a37" };
const OPACITY = "22";
const LINE_HEIGHT = 16;

/** The times of labels in milliseconds: those beside a single one are empty. */
function timesOf(labels, step) {
    const times = labels.map((label) =>
        DateTime.fromFormat(label.slice(0, LABEL_FORMAT.length), LABEL_FORMAT).toMillis(),
    );
    return labels.length === 3 && !labels[0] ? [times[1] - step, times[1], times[1] + step] : times;
}

/** Where a time is on the axis: a fraction of an index, null outside of it. */
function indexOf(time, times) {
    if (time < times[0] || time > times.at(-1)) {
        return null;
    }
    const after = times.findIndex((other) => other > time);
    if (after === -1) {
        return times.length - 1;
    }
    return after - 1 + (time - times[after - 1]) / (times[after] - times[after - 1]);
}

function drawText(ctx, text, x, y, { left, right }) {
    const isAtEnd = x + ctx.measureText(text).width + 4 > right;
    ctx.textBaseline = "alphabetic";
    ctx.textAlign = isAtEnd ? "right" : "left";
    ctx.fillText(text, Math.max(left, Math.min(right, isAtEnd ? x - 4 : x + 4)), y);
}

/** The span of the incident, with a line at each of its ends that is in the graph. */
function drawSpan(chart, { opened, ended, level }, times, step) {
    const { ctx, chartArea, scales } = chart;
    const floor = (utc) => Math.floor(deserializeDateTime(utc).toMillis() / step) * step;
    const [from, until] = [floor(opened), ended ? floor(ended) : Infinity];
    if (from > times.at(-1) || until < times[0]) {
        return;
    }
    const x = (time, outside) => {
        const index = indexOf(time, times);
        return index === null ? outside : scales.x.getPixelForValue(index);
    };
    const [start, end] = [x(from, chartArea.left), x(until, chartArea.right)];
    ctx.fillStyle = COLORS[level] + OPACITY;
    ctx.fillRect(start, chartArea.top, Math.max(end - start, 2), chartArea.bottom - chartArea.top);
    ctx.fillStyle = ctx.strokeStyle = COLORS[level];
    const ends = [
        [from, start, _t("Opened")],
        [until, end, _t("Ended")],
    ];
    ends.forEach(([time, pixel, text], row) => {
        if (indexOf(time, times) !== null) {
            ctx.beginPath();
            ctx.moveTo(pixel, chartArea.top);
            ctx.lineTo(pixel, chartArea.bottom);
            ctx.stroke();
            drawText(ctx, text, pixel, chartArea.top + (row + 1) * LINE_HEIGHT, chartArea);
        }
    });
}

function drawThresholds({ ctx, chartArea, scales }, thresholds) {
    ctx.setLineDash([6, 4]);
    for (const { level, label, value } of thresholds) {
        const y = scales.y.getPixelForValue(value);
        if (y >= chartArea.top && y <= chartArea.bottom) {
            ctx.fillStyle = ctx.strokeStyle = COLORS[level];
            ctx.beginPath();
            ctx.moveTo(chartArea.left, y);
            ctx.lineTo(chartArea.right, y);
            ctx.stroke();
            drawText(ctx, label, chartArea.left, y - 4, chartArea);
        }
    }
}

/**
 * A plugin of Chart.js that marks an incident behind the lines of a graph by time.
 *
 * @param {Object} incident of connection.alert
 * @param {string[]} labels those of the axis
 * @param {string} field what the axis groups by
 */
export function incidentPlugin(incident, labels, field) {
    const step = BUCKETS[field];
    const times = step && timesOf(labels, step);
    return {
        id: "incident",
        beforeDatasetsDraw(chart) {
            if (!times?.length) {
                return;
            }
            chart.ctx.save();
            chart.ctx.lineWidth = 1;
            chart.ctx.font = "12px sans-serif";
            drawSpan(chart, incident, times, step);
            drawThresholds(chart, incident.thresholds);
            chart.ctx.restore();
        },
    };
}
