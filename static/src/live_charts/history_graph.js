import { Domain } from "@web/core/domain";
import { cookie } from "@web/core/browser/cookie";
import { getColor } from "@web/core/colors/colors";
import { deserializeDateTime, formatDateTime, serializeDateTime } from "@web/core/l10n/dates";
import { _t } from "@web/core/l10n/translation";
import { registry } from "@web/core/registry";
import { getGroupBy } from "@web/search/utils/group_by";
import { GraphModel, SEP } from "@web/views/graph/graph_model";
import { GraphRenderer } from "@web/views/graph/graph_renderer";
import { graphView } from "@web/views/graph/graph_view";
import { incidentPlugin } from "./incident";
import { LiveGraphController } from "./live_charts";

const { DateTime } = luxon;

// A measure of several lines. They differ by their dashes, too.
const COMPARED = "used_and_capacity";
const comparedLines = () => [
    { measure: "used_max", label: _t("Used"), style: {} },
    {
        measure: "capacity",
        label: _t("Capacity"),
        style: { borderDash: [8, 4], stepped: true, pointRadius: 0 },
    },
    {
        measure: "waiting_max",
        label: _t("Waiting"),
        style: { borderDash: [2, 2], pointRadius: 0 },
    },
];
// What has a capacity: an endpoint, a pool of it, or a database of it.
const OWNER = ["endpoint_id", "database", "user"];
// How far from a point a click may be, in pixels.
const REACH = 24;

/** A domain for a list that stays open: a time that is relative to now becomes a fixed one. */
function fixedDomain(domain) {
    const fixed = (value) => {
        const [, number, unit] = /^-(\d+)([Hd])$/.exec(value) || [];
        const ago = { [unit === "H" ? "hours" : "days"]: Number(number) };
        return unit ? serializeDateTime(DateTime.now().minus(ago)) : value;
    };
    return new Domain(domain)
        .toList()
        .map((leaf) =>
            Array.isArray(leaf) && leaf[0] === "sampled_at"
                ? [leaf[0], leaf[1], fixed(leaf[2])]
                : leaf,
        );
}

/** Leaves a gap for what is unknown: Odoo's own graph draws 0 where it has no value. */
class HistoryGraphModel extends GraphModel {
    setup(params) {
        const compared = {
            name: COMPARED,
            string: _t("Used and Capacity"),
            type: "float",
            aggregator: "max",
        };
        super.setup({ ...params, fields: { ...params.fields, [COMPARED]: compared } });
    }

    /** Each line of the compared ones is of one endpoint, pool or database: they have different capacities. */
    _buildMetaData() {
        const metaData = super._buildMetaData(...arguments);
        if (metaData.measure === COMPARED) {
            const has = (name) => metaData.groupBy.some(({ fieldName }) => fieldName === name);
            const isChosen = ["database", "user"].some(
                (name) => has(name) || JSON.stringify(metaData.domain).includes(`["${name}",`),
            );
            if (!isChosen) {
                metaData.domain = Domain.and([
                    metaData.domain,
                    [["database", "=", false]],
                ]).toList();
            }
            const missing = OWNER.filter((name) => !has(name));
            metaData.groupBy = [
                ...metaData.groupBy,
                ...missing.map((name) => getGroupBy(name, metaData.fields)),
            ];
        }
        return metaData;
    }

    async _loadDataPoints(metaData) {
        if (metaData.measure !== COMPARED) {
            return super._loadDataPoints(metaData);
        }
        const none = this._getDefaultFilterLabel();
        const loaded = await Promise.all(
            comparedLines().map(async ({ measure, label }) => {
                const [points] = await super._loadDataPoints({ ...metaData, measure });
                return points.map((point) => {
                    const [time, ...owner] = point.labels;
                    return {
                        ...point,
                        labels: [time, label, ...owner.filter((name) => name !== none)],
                    };
                });
            }),
        );
        return [loaded.flat(), new Set()];
    }

    /** A time without samples must not get a line of its own. */
    _getProcessedDataPoints() {
        const points = super._getProcessedDataPoints();
        const known = points.find((point) => point.count);
        return points.map((point) =>
            point.count || !known
                ? point
                : { ...point, labels: [point.labels[0], ...known.labels.slice(1)], value: false },
        );
    }

    _getData() {
        const data = super._getData(...arguments);
        for (const dataset of data.datasets) {
            // Each point has a domain; without one there is no point.
            dataset.data = dataset.data.map((value, index) =>
                dataset.domains[index].length && value !== false ? value : null,
            );
        }
        if (this.metaData.measure === COMPARED) {
            // What has no limit, or no queue, gets no line.
            const used = comparedLines()[0].label;
            data.datasets = data.datasets.filter(
                ({ label, data }) =>
                    label.split(SEP)[0] === used || data.some((value) => value !== null),
            );
        }
        return data;
    }
}

/**
 * Draws straight lines between measurements: Odoo's own curves overshoot. A click on a point opens
 * its samples, also in a line chart.
 */
class HistoryGraphRenderer extends GraphRenderer {
    getLineChartData() {
        const data = super.getLineChartData();
        for (const dataset of data.datasets) {
            dataset.cubicInterpolationMode = "default";
        }
        if (this.model.metaData.measure === COMPARED) {
            this.styleCompared(data.datasets);
        }
        return data;
    }

    /** One color for each endpoint, pool or database, one style for each of its lines. */
    styleCompared(datasets) {
        const scheme = cookie.get("color_scheme");
        const parts = datasets.map(({ label }) => label.split(SEP));
        const owners = [...new Set(parts.map(([, ...owner]) => owner.join(SEP)))];
        datasets.forEach((dataset, index) => {
            const [line, ...owner] = parts[index];
            const { style } = comparedLines().find(({ label }) => label === line);
            const color = getColor(owners.indexOf(owner.join(SEP)), scheme, owners.length);
            Object.assign(dataset, {
                borderColor: color,
                hoverBackgroundColor: color,
                pointBackgroundColor: color,
                ...style,
            });
        });
    }

    /** The line styles of the compared ones are seen on an empty box. */
    getLegendOptions() {
        const options = super.getLegendOptions();
        const { labels } = options;
        const { measure, mode } = this.model.metaData;
        if (measure !== COMPARED || mode !== "line") {
            return options;
        }
        const generateLabels = (chart) =>
            labels.generateLabels(chart).map((label) => ({ ...label, fillStyle: "transparent" }));
        return { ...options, labels: { ...labels, generateLabels } };
    }

    getChartConfig() {
        const config = super.getChartConfig();
        const { context, groupBy, measure } = this.model.metaData;
        const { incident } = context;
        if (config.type === "line" && incident) {
            const thresholds = measure === incident.measure ? incident.thresholds : [];
            const shown = { ...incident, thresholds };
            config.plugins.push(incidentPlugin(shown, config.data.labels, groupBy[0]?.fieldName));
        }
        return config;
    }

    prepareOptions() {
        const onHover = ({ native }) => {
            this.canvasRef.el.style.cursor = this.elementAt(native) ? "pointer" : "";
        };
        return { ...super.prepareOptions(), onHover };
    }

    getTooltipItems(data, metaData, tooltipModel) {
        if (metaData.measure !== COMPARED) {
            return super.getTooltipItems(...arguments);
        }
        const { dataPoints } = tooltipModel;
        const known = dataPoints.filter(({ raw }) => raw !== null && raw !== undefined);
        return super.getTooltipItems(data, metaData, { dataPoints: known });
    }

    /** The point, bar or slice at an event: of a line the nearest point, if it is within reach. */
    elementAt(ev) {
        const isLine = this.model.metaData.mode === "line";
        const options = { intersect: !isLine };
        const [found] = this.chart.getElementsAtEventForMode(ev, "nearest", options, false);
        if (!found || !isLine) {
            return found;
        }
        const { left, top } = this.canvasRef.el.getBoundingClientRect();
        const { x, y } = found.element;
        return Math.hypot(ev.clientX - left - x, ev.clientY - top - y) <= REACH ? found : null;
    }

    onGraphClicked(ev, isMiddleClick) {
        const found = this.elementAt(ev);
        const dataset = found && this.chart.data.datasets[found.datasetIndex];
        const domain = dataset?.domains?.[found.index];
        if (domain?.length) {
            this.openSamples(domain, this.titleOf(dataset, found.index), isMiddleClick);
        }
    }

    /** When a point was, how long its period is, and what it is of. */
    titleOf({ label, trueLabels }, index) {
        const { fields, groupBy, measure, mode } = this.model.metaData;
        const [time, ...more] = groupBy;
        const length = time && !time.interval ? ` (${fields[time.fieldName].string})` : "";
        const owner = label.split(SEP).slice(measure === COMPARED ? 1 : 0);
        const parts = mode !== "pie" && more.length ? [owner.join(SEP)] : [];
        return [`${trueLabels[index]}${length}`, ...parts].join(", ");
    }

    openSamples(domain, name, newWindow) {
        const { resModel } = this.model.metaData;
        this.actionService.doAction(
            {
                type: "ir.actions.act_window",
                name,
                res_model: resModel,
                domain: fixedDomain(domain),
                views: [
                    [false, "list"],
                    [false, "kanban"],
                ],
                search_view_id: this.env.config.views?.find(([, type]) => type === "search"),
            },
            { newWindow },
        );
    }
}

class HistoryGraphController extends LiveGraphController {
    static template = "pgbouncer_monitor.HistoryGraphView";

    /** What the graph marks, in words. */
    get incident() {
        const { incident } = this.props.context;
        if (!incident) {
            return "";
        }
        const time = (utc) => formatDateTime(deserializeDateTime(utc));
        const opened = time(incident.opened);
        return incident.ended
            ? _t("Shaded: %(name)s, from %(opened)s to %(ended)s.", {
                  name: incident.name,
                  opened,
                  ended: time(incident.ended),
              })
            : _t("Shaded: %(name)s, open since %(opened)s.", { name: incident.name, opened });
    }
}

registry.category("views").add("history_graph", {
    ...graphView,
    Controller: HistoryGraphController,
    Model: HistoryGraphModel,
    Renderer: HistoryGraphRenderer,
});
