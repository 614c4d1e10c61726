import { registry } from "@web/core/registry";

const tours = registry.category("web_tour.tours");
const CANVAS = ".o_graph_canvas_container canvas";

const getChart = () => window.Chart.getChart(document.querySelector(CANVAS));

/** Checks the points of each line: label -> values. */
function expectLines(expected) {
    const { datasets } = getChart().data;
    const shown = Object.fromEntries(datasets.map(({ label, data }) => [label, data]));
    if (JSON.stringify(shown) !== JSON.stringify(expected)) {
        throw new Error(`${JSON.stringify(shown)} instead of ${JSON.stringify(expected)}`);
    }
}

function clickPoint(line, index) {
    const chart = getChart();
    chart.update("none"); // its animation is over
    const dataset = chart.data.datasets.findIndex(({ label }) => label === line);
    const { x, y } = chart.getDatasetMeta(dataset).data[index];
    const { left, top } = chart.canvas.getBoundingClientRect();
    const at = { clientX: left + x, clientY: top + y, bubbles: true };
    chart.canvas.dispatchEvent(new MouseEvent("click", at));
}

tours.add("pgbouncer_monitor_history", {
    steps: () => [
        {
            content: "What is unknown is no 0, and what is missing is a gap",
            trigger: CANVAS,
            run: () =>
                expectLines({
                    "PostgreSQL of this Odoo": [20, null, null, null, 50],
                    "Test PgBouncer": [10, null, null, 0, 40],
                }),
        },
        {
            content: "A click on a point opens its samples",
            trigger: CANVAS,
            run: () => clickPoint("Test PgBouncer", 4),
        },
        {
            trigger:
                ".o_last_breadcrumb_item:contains(/[0-9]{2}:[0-9]{2} .Minute., Test PgBouncer/)",
        },
        {
            trigger:
                ".o_list_view:has(.o_data_row td[name=pressure]:contains(40)):not(:has(.o_data_row:eq(1)))",
        },
        { trigger: ".o_back_button, .breadcrumb-item a", run: "click" },
        { trigger: CANVAS },
        { trigger: ".o_graph_view button:contains(Measures)", run: "click" },
        { trigger: ".o-dropdown-item:contains(Used and Capacity)", run: "click" },
        {
            content:
                "What is unknown is a gap; a change of the capacity is seen; nothing waits in PostgreSQL",
            trigger: ".o-dropdown-item.selected:contains(Used and Capacity)",
            run: () =>
                expectLines({
                    "Used / PostgreSQL of this Odoo": [4, null, null, null, 10],
                    "Used / Test PgBouncer": [2, null, null, 0, 8],
                    "Capacity / PostgreSQL of this Odoo": [20, null, null, null, 40],
                    "Capacity / Test PgBouncer": [20, null, null, 20, 40],
                    "Waiting / Test PgBouncer": [0, null, null, 0, 3],
                }),
        },
        { trigger: ".o_switch_view.o_pivot", run: "click" },
        { trigger: ".o_pivot th:contains(Samples)" },
        { trigger: ".o_switch_view.o_list", run: "click" },
        {
            content: "An unknown pressure is empty",
            trigger:
                ".o_data_row:contains(It was frozen.):has(.badge:contains(Unknown)) td[name=pressure]:empty",
        },
    ],
});
