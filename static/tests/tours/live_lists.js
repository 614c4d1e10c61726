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
                ".o_live_notice.alert-danger:contains(Lost PgBouncer):contains(No server listens) .o_live_remedy:contains(listen_port)",
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
        { trigger: ".o_live_status button:contains(Refresh paused)" },
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
        { trigger: ".o_data_row td[name=pid]", run: "click" },
        { trigger: ".o_form_view .o_live_status:has(.o_live_read_at) button:contains(Live)" },
    ],
});

tours.add("pgbouncer_monitor_who_blocks", {
    steps: () => [
        {
            content: "First click: a session that waits for a lock",
            trigger: ".o_data_row.text-danger td[name=pid]",
            run: "click",
        },
        {
            content: "Second click: who holds it",
            trigger: "button[name=action_open_blockers]",
            run: "click",
        },
        {
            content: "Third click: the client behind that session",
            trigger: "button[name=action_open_client]:contains(/127.0.0.1:[0-9]+/)",
            run: "click",
        },
        {
            content: "It is the culprit, at its own address and port",
            trigger:
                ".o_form_view:has(div[name=application_name]:contains(culprit)) h1:contains(/desk.odoo 127.0.0.1:[0-9]+/)",
        },
        { trigger: "button[name=action_open_pool]", run: "click" },
        {
            content: "Its pool is full, and the others wait",
            trigger:
                ".o_form_view:has(div[name=sv_active]:contains(5)) div[name=cl_waiting]:contains(25)",
        },
        { trigger: "button[name=action_open_clients]", run: "click" },
        { trigger: ".o_data_row.text-danger td[name=state]:contains(waiting)" },
    ],
});

const goTo = (path) => ({
    trigger: "body",
    run: () => (window.location = `/odoo/${path}`),
    expectUnloadPage: true,
});

const confirmed = (method) => [
    { trigger: `button[name=${method}]`, run: "click" },
    { trigger: ".modal footer .btn-primary", run: "click" },
];

tours.add("pgbouncer_monitor_session_form", {
    steps: () => [
        {
            trigger: ".o_data_row td[name=application_name]:contains(to be ended)",
            run: "click",
        },
        { trigger: ".o_form_view div[name=state]:contains(/^idle$/)" },
        { trigger: ".o_form_view div[name=backend_start]:contains(/:[0-9][0-9]:[0-9][0-9]/)" },
        {
            content: "The state changes without a click",
            trigger: ".o_form_view div[name=state]:contains(idle in transaction)",
            timeout: 20000,
        },
        ...confirmed("action_terminate"),
        { trigger: ".o_notification:contains(the signal was sent)" },
        {
            content: "The form says that the session has ended, and when it was last seen",
            trigger: ".o_live_notice:contains(/This session has ended. Last seen at [0-9:]{8},/)",
            timeout: 20000,
        },
        {
            content: "What was seen stays, and there is nothing to terminate",
            trigger:
                ".o_form_view:not(:has(button[name=action_terminate])) div[name=state]:contains(idle in transaction)",
        },
        {
            content: "After a reload of the page, nothing is known of it",
            trigger: "body",
            run: () => window.location.reload(),
            expectUnloadPage: true,
        },
        {
            trigger:
                ".o_form_view:not(:has(.o_form_renderer)) .o_live_notice:contains(Nothing else is known)",
        },
        { trigger: ".o_back_button, .breadcrumb-item a:contains(Sessions)", run: "click" },
        { trigger: ".o_list_view .o_data_row" },
    ],
});

tours.add("pgbouncer_monitor_commands", {
    steps: () => [
        { trigger: ".o_data_row td[name=name]:contains(Test PgBouncer)", run: "click" },
        { trigger: ".o_form_view div[name=max_client_conn]:contains(1,000)" },
        ...confirmed("action_reload"),
        { trigger: ".o_notification:contains(RELOAD):contains(check its log)" },
        {
            content: "The chatter says what was done",
            trigger: ".o-mail-Message:contains(RELOAD)",
        },
        goTo("pgbouncer-databases"),
        { trigger: ".o_data_row td[name=name]:contains(quiet)", run: "click" },
        { trigger: ".o_form_view div[name=name]:contains(quiet)" },
        ...confirmed("action_pause"),
        { trigger: ".o_form_view .alert-warning:contains(none of them gets a server)" },
        ...confirmed("action_resume"),
        { trigger: ".o_form_view:not(:has(.alert-warning)) button[name=action_pause]" },
    ],
});

tours.add("pgbouncer_monitor_no_commands", {
    steps: () => [
        { trigger: ".o_data_row td[name=name]:contains(Test PgBouncer)", run: "click" },
        { trigger: ".o_form_view div[name=max_client_conn]:contains(1,000)" },
        { trigger: ".o_form_view button[name=action_test]" },
        {
            content: "What its user may not do is not offered",
            trigger:
                ".o_form_view:not(:has(button[name=action_reload], button[name=action_pause]))",
        },
    ],
});

const rowsOfTiny = () => [
    { trigger: ".o_data_row td:contains(tiny)" },
    { trigger: ".o_list_table:not(:has(td:contains(/^pgbouncer$/)))" },
    { trigger: ".o_switch_view.o_pivot", run: "click" },
    { trigger: ".o_pivot th:contains(Total)" },
    { trigger: ".o_switch_view.o_graph", run: "click" },
    { trigger: ".o_graph_renderer canvas" },
];

tours.add("pgbouncer_monitor_lists", {
    steps: () => [
        { trigger: ".o_data_row td[name=database]:contains(tiny)", run: "click" },
        { trigger: "button[name=action_open_server]", run: "click" },
        { trigger: ".o_form_view label:contains(Server Connection)" },
        { trigger: "button[name=action_open_session]", run: "click" },
        {
            content: "The session shows the reason",
            trigger: ".o_form_view div[name=component_reason]:contains(SHOW SERVERS)",
        },
        ...["servers", "databases", "statistics", "pools"].flatMap((name) => [
            goTo(`pgbouncer-${name}`),
            ...rowsOfTiny(),
        ]),
        goTo("pgbouncer-configuration"),
        { trigger: ".o_data_row:has(td:contains(max_client_conn)) td[name=value]:contains(1000)" },
    ],
});

tours.add("pgbouncer_monitor_users_and_peers", {
    steps: () => [
        { trigger: ".o_data_row td[name=name]:contains(pgbouncer_stats)", run: "click" },
        { trigger: ".o_form_view h1 div[name=name]:contains(pgbouncer_stats)" },
        { trigger: ".o_form_view div[name=endpoint_id]:contains(Test PgBouncer)" },
        goTo("pgbouncer-peers"),
        {
            content: "A version without peers does not look like one that has none set up",
            trigger:
                ".o_live_notice.alert-warning:contains(does not have this command) .o_live_remedy:contains(1.19)",
        },
        { trigger: ".o_view_nocontent:contains(No peer)" },
    ],
});
