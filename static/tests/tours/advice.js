import { registry } from "@web/core/registry";

const tours = registry.category("web_tour.tours");

const notice = (text) => ({ trigger: `.o_live_notice:contains(${text})` });
const checkNow = { trigger: ".o_advice_check_now", run: "click" };

/** Throws unless all of the page fits into the width of the window. */
function checkWidth() {
    for (const element of document.querySelectorAll(".o_content, .o_form_sheet, .o_advice_steps")) {
        if (element.scrollWidth > element.clientWidth + 1) {
            throw new Error(`${element.className} is cut: ${element.scrollWidth} px`);
        }
    }
}

const REMEDY = [
    { trigger: ".o_field_widget[name=evidence]:contains(query_wait_timeout = 0)" },
    { trigger: ".o_field_widget[name=why]:contains(waits forever)" },
    { trigger: ".o_advice_steps pre:contains(query_wait_timeout = 120)" },
    { trigger: ".o_advice_steps:contains(Then RELOAD PgBouncer.)" },
];

tours.add("pgbouncer_monitor_advice", {
    steps: () => [
        {
            content: "An empty list says that nothing is known",
            ...notice("Nothing has been checked yet"),
        },
        checkNow,
        notice("Last check"),
        {
            trigger:
                ".o_data_row:has(.text-bg-danger:contains(Critical)) td:contains(Endless Queue)",
            run: "click",
        },
        ...REMEDY,
        { trigger: "button:contains(Accept)", run: "click" },
        { trigger: ".modal [name=reason] textarea", run: "edit Only a test" },
        { trigger: ".modal button[name=action_accept]", run: "click" },
        { trigger: ".o_form_view [name=accept_reason]:contains(Only a test)" },
        { trigger: "button[name=action_revoke]", run: "click" },
        { trigger: ".o_form_view:not(:has([name=accept_reason]))" },
        { trigger: ".o_field_widget[name=endpoint_id] a", run: "click" },
        { trigger: ".oe_stat_button[name=action_open_advice]:contains(Critical: 1)" },
        { trigger: "[name=advice_ids] .o_data_row:contains(Endless Queue)" },
        {
            trigger: ".o_endpoint_advice .o_level[data-level=critical]:contains(Critical: 1)",
            run: "click",
        },
        { trigger: ".o_facet_value:contains(Open Findings: Test PgBouncer)" },
        { trigger: ".o_data_row td:contains(Endless Queue)" },
    ],
});

tours.add("pgbouncer_monitor_advice_phone", {
    steps: () => [
        notice("Nothing has been checked yet"),
        checkNow,
        notice("Last check"),
        { trigger: ".o_kanban_record:contains(Endless Queue)", run: checkWidth },
        { trigger: ".o_kanban_record:contains(Endless Queue)", run: "click" },
        ...REMEDY,
        { trigger: ".o_form_sheet", run: checkWidth },
    ],
});
