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
                ".o_form_view:has(div[name=application_name]:contains(culprit)) h1:contains(/till.odoo 127.0.0.1:[0-9]+/)",
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

tours.add("pgbouncer_monitor_terminate", {
    steps: () => [
        {
            trigger: ".o_data_row td[name=application_name]:contains(to be ended)",
            run: "click",
        },
        { trigger: ".o_form_view div[name=application_name]:contains(to be ended)" },
        ...confirmed("action_terminate"),
        { trigger: ".o_notification:contains(the signal was sent)" },
        {
            content: "The form of a session that is gone is left",
            trigger: ".o_list_view .o_live_status",
        },
    ],
});

tours.add("pgbouncer_monitor_commands", {
    steps: () => [
        { trigger: ".o_data_row td[name=name]:contains(Test PgBouncer)", run: "click" },
        { trigger: ".o_form_view div[name=max_client_conn]:contains(1,000)" },
        ...confirmed("action_reload"),
        { trigger: ".o_notification:contains(RELOAD):contains(only its log tells)" },
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
            content: "The session says how it was told",
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

tours.add("pgbouncer_monitor_sample", {
    steps: () => [
        {
            content: "It was never measured",
            trigger: ".o_data_row:contains(Test PgBouncer) .badge:contains(Unknown)",
        },
        { trigger: ".o_data_row:contains(Test PgBouncer) td[name=name]", run: "click" },
        { trigger: "button[name=action_sample]", run: "click" },
        { trigger: ".o_notification:contains(/of 1,?000 connections are used/)" },
        {
            content: "The form opens with the card of the first screen",
            trigger: ".o_endpoint_card[data-level=ok]:contains(/Last sample: [0-9]+ s ago/) canvas",
        },
        {
            content: "… and its pools",
            trigger: ".o_endpoint_card .o_pool_table tr:contains(tiny/shop)",
        },
        { trigger: "button[name=action_open_samples]", run: "click" },
        { trigger: ".o_graph_canvas_container canvas" },
        { trigger: ".o_live_notice:contains(The last sample is of)" },
        { trigger: ".o_switch_view.o_list", run: "click" },
        { trigger: ".o_data_row td[name=user]:contains(shop)" },
    ],
});

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

tours.add("pgbouncer_monitor_thresholds", {
    steps: () => [
        { trigger: ".settings_tab [data-key=pgbouncer_monitor]", run: "click" },
        {
            content: "Emptied is never",
            trigger: "tr:has([name=rule]:contains('Longest Wait')) td[name=critical]",
            run: "click",
        },
        {
            trigger: "tr:has([name=rule]:contains('Longest Wait')) td[name=critical] input",
            run: "clear && press Tab",
        },
        {
            trigger: "tr:has([name=rule]:contains('Longest Wait')) td[name=warning]",
            run: "click",
        },
        {
            trigger: "tr:has([name=rule]:contains('Longest Wait')) td[name=warning] input",
            run: "edit 0 && press Tab",
        },
        { trigger: "div[name=sample_days] input", run: "clear && press Tab" },
        { trigger: ".o_form_button_save", run: "click", expectUnloadPage: true },
        { trigger: ".settings:not(:has(.o_dirty_warning))" },
    ],
});

tours.add("pgbouncer_monitor_alert", {
    steps: () => [
        { trigger: ".o_data_row td[name=name]:contains('Test PgBouncer')", run: "click" },
        { trigger: ".o-mail-Activity:contains('Waiting Clients')" },
        {
            content: "What is wrong, how bad, what runs, what to do first",
            trigger: [
                ".o-mail-Message:contains('Critical: Waiting Clients')",
                ":contains('Servers in use: 1 of 1. Clients waiting: 1')",
                ":contains('What to do first')",
                ":contains('PID')",
            ].join(""),
        },
        { trigger: ".oe_stat_button[name=action_open_alerts]:contains('1')", run: "click" },
        { trigger: ".o_data_row td[name=rule]:contains('Waiting Clients')", run: "click" },
        { trigger: ".o_field_widget[name=queries]:contains('SELECT 1')" },
        { trigger: "button[name=action_acknowledge]", run: "click" },
        { trigger: ".o_field_widget[name=acknowledged_by]:visible" },
    ],
});

tours.add("pgbouncer_monitor_alert_is_over", {
    steps: () => [
        { trigger: ".o_data_row td[name=name]:contains('Test PgBouncer')", run: "click" },
        { trigger: ".o-mail-Message:contains('Resolved: Waiting Clients'):contains('lasted')" },
        { trigger: ".o-mail-Chatter:not(:has(.o-mail-Activity))" },
        { trigger: "button[name=action_send_test_alert]", run: "click" },
        { trigger: ".o_notification:contains('Posted in the chatter and sent to')" },
        { trigger: ".o-mail-Message:contains('This is a test')" },
        {
            content: "A rule of its own is filled with the common one",
            trigger: "div[name=rule_ids] a:contains('Add a line')",
            run: "click",
        },
        { trigger: "div[name=rule_ids] .o_selected_row [name=rule] input", run: "click" },
        { trigger: ".o_select_menu_item:contains('Longest Wait')", run: "click" },
        { trigger: "div[name=rule_ids] .o_selected_row [name=critical] input:value(5.00)" },
        {
            trigger: "div[name=rule_ids] .o_selected_row [name=critical] input",
            run: "edit 7 && press Tab",
        },
        { trigger: ".o_form_button_save", run: "click" },
        { trigger: ".o_form_saved" },
    ],
});

tours.add("pgbouncer_monitor_listen_check", {
    steps: () => [
        { trigger: ".o_listen_check:contains('Nothing was checked yet')" },
        { trigger: ".o_listen_check_now", run: "click" },
        { trigger: ".o_listen_check_now:disabled:contains('Checking')" },
        {
            content:
                "The steps come one after the other, each with what was seen and what it means",
            trigger:
                ".o_listen_check_step[data-step=listen][data-level=ok]:contains('It arrived after'):contains('LISTEN works')",
            timeout: 30000,
        },
        {
            content: "It reaches this browser",
            trigger:
                ".o_listen_check_bus[data-verdict=session][data-level=ok] .badge:contains('Session Mode')",
            timeout: 60000,
        },
        {
            trigger:
                ".o_listen_check_step[data-step=browser][data-level=ok]:contains('are live here')",
        },
        {
            content: "There are no cron workers",
            trigger: ".o_listen_check_cron[data-verdict=unknown] .badge:contains('Unknown')",
        },
        { trigger: ".o_listen_check_way:contains('Restart Odoo')" },
        { trigger: ".o_listen_check .o_clipboard_button:contains('Copy as Text')" },
        { trigger: ".o_listen_check button:contains('Earlier Checks')", run: "click" },
        { trigger: ".o_data_row:contains('Bus') td[name=verdict]", run: "click" },
        { trigger: ".o_form_view [name=evidence]:contains('1. Configuration')" },
    ],
});

tours.add("pgbouncer_monitor_listen_check_viewer", {
    steps: () => [
        {
            trigger:
                ".o_listen_check_bus[data-verdict=direct][data-level=ok]:contains('It hears.')",
        },
        { trigger: ".o_listen_check:not(:has(.o_listen_check_now))" },
    ],
});

tours.add("pgbouncer_monitor_listen_check_settings", {
    steps: () => [
        { trigger: ".settings_tab [data-key=pgbouncer_monitor]", run: "click" },
        { trigger: ".o_listen_check_bus[data-verdict=direct]:contains('It hears.')" },
        { trigger: ".o_listen_check_now:contains('Check Now')" },
        { trigger: "button:contains('Endpoints')", run: "click" },
        { trigger: ".o_data_row:contains('PostgreSQL of this Odoo')" },
    ],
});
