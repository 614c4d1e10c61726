import { registry } from "@web/core/registry";

const tours = registry.category("web_tour.tours");

tours.add("pgbouncer_monitor_listen_check", {
    steps: () => [
        { trigger: ".o_listen_check:contains('No checks yet')" },
        { trigger: ".o_listen_check_now", run: "click" },
        { trigger: ".o_listen_check_now:disabled:contains('Checking')" },
        {
            content:
                "The steps appear one after the other, each with what was seen and what it means",
            trigger:
                ".o_listen_check_step[data-step=listen][data-level=ok]:contains('Notification received after'):contains('LISTEN works')",
            timeout: 30000,
        },
        {
            content: "The steps below the window can be scrolled to",
            trigger: ".o_listen_check_step",
            run() {
                const content = document.querySelector(".o_listen_check").closest(".o_content");
                if (!["auto", "scroll"].includes(getComputedStyle(content).overflowY)) {
                    throw new Error("The page does not scroll");
                }
            },
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
        { trigger: ".o_listen_check_remedy:contains('restart Odoo')" },
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
