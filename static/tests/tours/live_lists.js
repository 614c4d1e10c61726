import { registry } from "@web/core/registry";

const tours = registry.category("web_tour.tours");

tours.add("pgbouncer_monitor_pools", {
    steps: () => [
        {
            content: "The pool with one server is listed, and nobody waits yet",
            trigger:
                ".o_data_row:has(td[name=database]:contains(tiny)) td[name=cl_waiting]:contains(0)",
        },
        {
            content: "The endpoint that does not answer is named, with the remedy",
            trigger:
                ".o_live_notice.alert-danger:contains(Lost PgBouncer):contains(Nobody listens) .o_live_remedy:contains(listen_port)",
        },
        {
            content: "The other endpoint's waiting client appears without a click",
            trigger:
                ".o_data_row.text-danger:has(td[name=database]:contains(tiny)) td[name=cl_waiting]:contains(1)",
            timeout: 20000,
        },
        {
            content: "The list says of when it is",
            trigger: ".o_live_read_at:contains(/^[0-9][0-9]:[0-9][0-9]:[0-9][0-9]$/)",
        },
        {
            content: "It can be paused",
            trigger: ".o_live_status button:contains(Live)",
            run: "click",
        },
        { trigger: ".o_live_status button:contains(Paused)" },
        {
            content: "Grouped, the notice stays",
            trigger: ".o_searchview_dropdown_toggler",
            run: "click",
        },
        { trigger: ".o_menu_item:contains(Pool Mode)", run: "click" },
        { trigger: ".o_group_header:contains(transaction)" },
        { trigger: ".o_live_notice:contains(Lost PgBouncer)" },
    ],
});

tours.add("pgbouncer_monitor_sessions", {
    steps: () => [
        {
            content: "The administrator sees the query of his own request",
            trigger: ".o_data_row td[name=query]:contains(pg_stat_activity)",
            run: "click",
        },
        {
            content: "The session's form has the whole of it",
            trigger: ".o_form_view div[name=query]:contains(SELECT)",
        },
        { trigger: ".o_back_button, .breadcrumb-item a:contains(Sessions)", run: "click" },
        { trigger: ".o_switch_view.o_pivot", run: "click" },
        { trigger: ".o_pivot td:contains(Total), .o_pivot th:contains(Total)" },
        { trigger: ".o_switch_view.o_graph", run: "click" },
        { trigger: ".o_graph_renderer canvas" },
    ],
});

const hiddenNotice =
    ".o_live_notice:contains(may not see) .o_live_remedy:contains(GRANT pg_monitor TO odoo;)";

tours.add("pgbouncer_monitor_hidden", {
    steps: () => [
        { trigger: hiddenNotice },
        {
            content: "The hidden session is in the list of client backends all the same",
            trigger: ".o_data_row.text-muted:has(td[name=usename]:contains(shop))",
        },
        { trigger: ".o_switch_view.o_pivot", run: "click" },
        { trigger: ".o_pivot" },
        { trigger: hiddenNotice },
        { trigger: ".o_switch_view.o_graph", run: "click" },
        { trigger: ".o_graph_renderer canvas" },
        { trigger: hiddenNotice },
    ],
});

tours.add("pgbouncer_monitor_viewer", {
    steps: () => [
        { trigger: ".o_data_row td[name=pid]" },
        {
            content: "No query texts for a viewer",
            trigger: ".o_list_table:not(:has(th[data-name=query]))",
        },
        { trigger: ".o_live_status button:contains(Live)" },
    ],
});

tours.add("pgbouncer_monitor_endpoint", {
    steps: () => [
        { trigger: ".o_list_button_add", run: "click" },
        { trigger: "div[name=name] input", run: "edit From the tour" },
        { trigger: "div[name=port] input", run: "edit 1" },
        { trigger: "div[name=password] input[type=password]", run: "edit secret" },
        { trigger: "button[name=action_test]", run: "click" },
        { trigger: ".o_notification:contains(Nobody listens)" },
        { trigger: ".o_form_view .alert-danger:contains(Nobody listens)" },
        { trigger: "button[name=action_remove_password]" },
    ],
});
