import { registry } from "@web/core/registry";

const tours = registry.category("web_tour.tours");

const page = (name) => ({ trigger: `.o_notebook .nav-link[name=${name}]`, run: "click" });
const input = (name, value) => ({
    trigger: `[name=${name}] input`,
    run: `edit ${value} && press Tab`,
});
const verdict = (text) => ({ trigger: `.o_plan_verdict:contains(${text})` });
const addOther = (number, name, count) => {
    const row = `[name=other_ids] .o_data_row:nth-child(${number}).o_selected_row`;
    return [
        { trigger: "[name=other_ids] .o_field_x2many_list_row_add a", run: "click" },
        { trigger: `${row} [name=name] input`, run: `edit ${name}` },
        { trigger: `${row} [name=count] input`, run: `edit ${count} && press Tab` },
    ];
};

/** Throws unless all of the page fits into the width of the window. */
function checkWidth() {
    for (const element of document.querySelectorAll(".o_form_view, .o_form_sheet, .o_plan_chart")) {
        if (element.scrollWidth > element.clientWidth + 1) {
            throw new Error(`${element.className} is cut: ${element.scrollWidth} px`);
        }
    }
}

const CLASSIC = [
    page("inputs"),
    input("servers", 5),
    input("workers", 20),
    input("max_cron_threads", 0),
    input("gevent_connections", 0),
    ...addOther(1, "Backup", 2),
    ...addOther(2, "psql", 3),
    verdict("110 expected, 97 available"),
];

const SAVE = [
    { trigger: ".o_form_button_save", run: "click" },
    { trigger: ".o_form_view:not(:has(.o_form_button_save:visible))" },
];

tours.add("pgbouncer_monitor_planner", {
    steps: () => [
        { trigger: ".o_list_button_add", run: "click" },
        { trigger: ".o_field_widget[name=name] input", run: "edit Black Friday" },
        ...CLASSIC,
        {
            content: "A size has a unit",
            ...input("memory", "16 GB"),
        },
        { trigger: "[name=memory] input:value(16 GB)" },
        page("connections"),
        {
            content: "The picture has the same figures, and says them",
            trigger: "[data-bar=direct] .o_plan_part[data-count='100']",
            run() {
                const { ariaLabel } = document.querySelector(".o_plan_chart [role=img]");
                if (!ariaLabel.includes("Without PgBouncer: 110 expected (HTTP Workers 100")) {
                    throw new Error(ariaLabel);
                }
            },
        },
        { trigger: "[data-bar=direct] .o_plan_refused" },
        { trigger: "[data-bar=pooled]:not(:has(.o_plan_bar .o_plan_refused))" },
        { trigger: ".o_plan_demand .o_plan_expected:contains(/^110$/)", run: checkWidth },
        {
            content: "A number is changed, and the result follows before anything is saved",
            ...page("inputs"),
        },
        input("max_connections", 200),
        verdict("110 expected, 197 available"),
        {
            content: "Too large a number has a sentence, and nothing is computed from it",
            ...input("workers", "1000000000000"),
        },
        {
            trigger:
                "[name=error]:contains(HTTP Workers: enter at most 1,000, not 1,000,000,000,000.)",
        },
        { trigger: ".o_form_view:not(:has(.o_plan_finding))" },
        { trigger: ".o_form_button_save", run: "click" },
        {
            trigger: ".modal:contains(HTTP Workers: enter at most 1,000) .modal-footer button",
            run: "click",
        },
        {
            content: "Nothing that was typed is lost",
            trigger: "[name=servers] input:value(5)",
        },
        input("workers", 20),
        input("max_connections", 100),
        verdict("Without PgBouncer, PostgreSQL refuses 13"),
        ...SAVE,
        page("proposal"),
        { trigger: "[data-figure=max_connections]:contains(100)" },
        page("files"),
        { trigger: "[data-file='pgbouncer.ini'] pre:contains(pool_mode = transaction)" },
        { trigger: "[data-file='pgbouncer.ini'] .o_plan_download" },
        { trigger: "button[name=action_compare]", run: "click" },
        page("comparison"),
        { trigger: "[data-setting=default_pool_size] td:contains(20)" },
        { trigger: "[data-setting=max_connections]" },
        page("rollout"),
        { trigger: "[data-step=install]" },
        { trigger: "[data-step=back]" },
    ],
});

tours.add("pgbouncer_monitor_planner_phone", {
    steps: () => [
        ...CLASSIC,
        ...["connections", "inputs", "proposal", "files", "rollout"].flatMap((name) => [
            page(name),
            { trigger: `.o_notebook .nav-link.active[name=${name}]`, run: checkWidth },
        ]),
        ...SAVE,
    ],
});

tours.add("pgbouncer_monitor_planner_viewer", {
    steps: () => [
        verdict("Without PgBouncer, PostgreSQL refuses 13"),
        { trigger: "button[name=action_download]" },
        {
            trigger:
                ".o_form_view:not(:has(button[name=action_fill_in], button[name=action_compare]))",
        },
        page("inputs"),
        { trigger: "[name=servers]:not(:has(input)):contains(5)" },
    ],
});

tours.add("pgbouncer_monitor_planner_fill_in", {
    steps: () => [
        verdict("Without PgBouncer, PostgreSQL refuses 13"),
        { trigger: "button[name=action_fill_in]", run: "click" },
        { trigger: ".modal .btn-primary", run: "click" },
        {
            trigger: "[name=missing_text]:contains('Busy Server Connections (Mean)')",
        },
        page("inputs"),
        { trigger: "[name=other_ids]:not(:contains(Backup))" },
        input("mean_busy", 2),
        { trigger: ".o_form_button_save", run: "click" },
        { trigger: "[name=missing_text]:not(:contains('Busy Server Connections (Mean)'))" },
    ],
});

tours.add("pgbouncer_monitor_planner_nobody", {
    steps: () => [{ trigger: ".modal:contains(Access Error):not(:contains(PostgreSQL refuses))" }],
});
