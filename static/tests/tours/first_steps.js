import { registry } from "@web/core/registry";

const tours = registry.category("web_tour.tours");

const step = (name, state) => `.o_first_step[data-name=${name}][data-state=${state}]`;
const press = (name, label) => ({
    trigger: `.o_first_step[data-name=${name}] button:contains('${label}')`,
    run: "click",
});

tours.add("pgbouncer_monitor_first_steps", {
    steps: () => [
        { trigger: ".o_first_steps:contains('1 of 5 done')" },
        {
            trigger: `${step("pg_monitor", "todo")} pre:contains('GRANT pg_monitor TO odoo;')`,
        },
        press("sampled", "Sample Now"),
        { trigger: `${step("sampled", "done")}:contains('Last sample:')` },
        {
            content: "The pooler of Odoo's own connection was found, and not called PgBouncer",
            trigger: `${step("pgbouncer", "todo")}:contains('Odoo is connected through a pooler at')`,
        },
        press("pgbouncer", "Watch It as PgBouncer"),
        { trigger: ".o_form_view .alert-info:contains('stats_users = odoo_monitor')" },
        { trigger: "div[name=user] input", run: "edit pgbouncer_stats" },
        { trigger: ".o_form_button_save", run: "click" },
        { trigger: ".o_form_saved .o_endpoint_card:contains('No clients waiting')" },
        { trigger: ".o_breadcrumb a:contains('Overview')", run: "click" },
        {
            trigger: `${step("pgbouncer", "done")}:contains('Odoo is connected through PgBouncer at')`,
        },
        {
            trigger: `${step("recipients", "todo")}:contains('No e-mail address: Administrator')`,
        },
        press("recipients", "My Preferences"),
        { trigger: ".modal [name=notification_type] input[data-value=inbox]", run: "click" },
        { trigger: ".modal button[name=preference_save]", run: "click", expectUnloadPage: true },
        { trigger: `${step("recipients", "done")}:contains('In Odoo: Administrator')` },
        press("checked", "Open LISTEN Check"),
        { trigger: ".o_listen_check" },
        { trigger: ".o_breadcrumb a:contains('Overview')", run: "click" },
        { trigger: ".o_first_steps:contains('4 of 5 done')" },
        { trigger: ".o_first_steps_dismiss", run: "click" },
        { trigger: ".o_connection_overview:not(:has(.o_first_steps)) .o_endpoint_card" },
        { trigger: ".o_notification:contains('can show the first steps again')" },
    ],
});
