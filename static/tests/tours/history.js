import { registry } from "@web/core/registry";

const tours = registry.category("web_tour.tours");

tours.add("pgbouncer_monitor_history", {
    steps: () => [
        {
            content: "What is unknown is no 0, and what is missing is a gap",
            trigger: ".o_graph_canvas_container canvas",
            run() {
                const canvas = document.querySelector(".o_graph_canvas_container canvas");
                const { datasets } = window.Chart.getChart(canvas).data;
                const shown = JSON.stringify(
                    Object.fromEntries(datasets.map((d) => [d.label, d.data])),
                );
                const expected = JSON.stringify({
                    "PostgreSQL of this Odoo": [20, null, null, null, 50],
                    "Test PgBouncer": [10, null, null, 0, 40],
                });
                if (shown !== expected) {
                    throw new Error(`${shown} instead of ${expected}`);
                }
            },
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
