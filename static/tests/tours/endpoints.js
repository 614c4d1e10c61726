import { registry } from "@web/core/registry";

const tours = registry.category("web_tour.tours");

tours.add("pgbouncer_monitor_endpoint", {
    steps: () => [
        { trigger: ".o_list_button_add", run: "click" },
        { trigger: "div[name=name] input", run: "edit From the tour" },
        { trigger: "div[name=port] input", run: "edit 1" },
        { trigger: "div[name=password] input[type=password]", run: "edit secret" },
        { trigger: "button[name=action_test]", run: "click" },
        { trigger: ".o_notification:contains(No server listens)" },
        { trigger: ".o_form_view .alert-danger:contains(No server listens)" },
        { trigger: "button[name=action_remove_password]" },
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
        { trigger: ".o_notification:contains(/of 1,?000 connections are in use/)" },
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
        { trigger: ".o_live_notice:contains(Last sample:)" },
        { trigger: ".o_switch_view.o_list", run: "click" },
        { trigger: ".o_data_row td[name=user]:contains(shop)" },
    ],
});
