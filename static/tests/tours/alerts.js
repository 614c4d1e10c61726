import { registry } from "@web/core/registry";

const tours = registry.category("web_tour.tours");

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
        { trigger: "button[name=action_open_value]:contains('Show in History')", run: "click" },
        { trigger: ".o_history_incident:contains('Shaded: Test PgBouncer: Waiting Clients')" },
        {
            trigger: ".o_graph_canvas_container canvas",
            run({ anchor }) {
                const { data, config } = window.Chart.getChart(anchor);
                const [line] = data.datasets;
                if (
                    !config.plugins.some(({ id }) => id === "incident") ||
                    !line.data.some(Boolean)
                ) {
                    throw new Error(`No marked line: ${JSON.stringify(line)}`);
                }
            },
        },
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
