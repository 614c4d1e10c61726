import { registry } from "@web/core/registry";

const tours = registry.category("web_tour.tours");

const card = (name) => `.o_endpoint_card:contains('${name}')`;
const holder = ".o_overview_holders tr:contains('PgBouncer Pool: Test PgBouncer')";
const back = { trigger: ".o_breadcrumb a:contains('Overview')", run: "click" };
const none = (part) => ({ trigger: `${part}:contains('None'):not(:contains('visible'))` });

tours.add("pgbouncer_monitor_overview_calm", {
    steps: () => [
        {
            content: "All endpoints are OK: as text, with what is left as a number",
            trigger:
                ".o_overview_summary:has([data-level=ok]:contains('2 OK')):not(:has([data-level=critical], [data-level=warning], [data-level=unknown]))",
        },
        {
            trigger: `${card("PostgreSQL of this Odoo")}[data-level=ok] .o_endpoint_used:contains(/^\\d+ of \\d+ connections, \\d+ left$/)`,
        },
        { trigger: `${card("Test PgBouncer")} .o_endpoint_waiting:contains('No clients waiting')` },
        { trigger: `${card("Test PgBouncer")} canvas[aria-label*='Fullest Pool (%)']` },
        {
            content: "LISTEN was not checked: the level is unknown, not OK",
            trigger: ".o_endpoint_check [data-level=unknown]:contains('Bus: Not Checked')",
        },
        none(".o_overview_pools"),
        none(".o_overview_blocked"),
        none(".o_overview_idle"),
        { trigger: `${holder} td:contains('%')` },
        { trigger: ".o_overview_alert_list:contains('No alerts')" },
        {
            content: "Every number opens its list, already filtered",
            trigger: `${holder} button`,
            run: "click",
        },
        { trigger: ".o_searchview_facet:contains('PgBouncer Pool: Test PgBouncer')" },
        { trigger: ".o_data_row td[name=component]:contains('PgBouncer Pool')" },
        back,
        { trigger: `${card("Test PgBouncer")} .o_endpoint_used`, run: "click" },
        { trigger: ".o_searchview_facet:contains('Test PgBouncer')" },
        back,
        { trigger: ".o_overview_count[aria-label^='Sessions waiting for a lock']", run: "click" },
        { trigger: ".o_searchview_facet:contains('Blocked')" },
        { trigger: ".o_view_nocontent" },
        back,
        { trigger: ".o_endpoint_check:contains('Cron')", run: "click" },
        { trigger: ".o_listen_check" },
        back,
        {
            content: "The refresh interval is remembered",
            trigger: ".o_live_status select",
            run: "select 60",
        },
        {
            trigger: `${card("Test PgBouncer")} h3 button`,
            run: "click",
        },
        { trigger: ".o_form_view .o_endpoint_card:contains('No clients waiting')" },
        back,
        {
            trigger: ".o_live_status select",
            run() {
                if (this.anchor.value !== "60") {
                    throw new Error(`every ${this.anchor.value} s`);
                }
            },
        },
    ],
});

tours.add("pgbouncer_monitor_overview_load", {
    steps: () => [
        {
            content: "What users suffered, by host and kind, with its rows",
            trigger:
                ".o_endpoint_refused:contains(': 3'):contains('shop-1: Connection Closed: 3 requests') button",
            run: "click",
        },
        { trigger: ".o_data_row:contains('shop-1'):contains('A server was restarted')" },
        back,
        {
            content: "Clients wait: their pool is shown without a click",
            trigger: ".o_overview_pools tr:contains('desk/odoo') td:contains('5 of 5')",
            timeout: 30000,
        },
        {
            trigger: `${card("Test PgBouncer")} .o_endpoint_waiting:contains(/^\\d+ waiting, longest wait/)`,
        },
        {
            trigger: `${card("Test PgBouncer")}:contains('Fullest pool: desk/odoo, 5 of 5 servers')`,
        },
        { trigger: ".o_overview_holders tr:contains('PgBouncer Pool: Test PgBouncer')" },
        { trigger: ".o_overview_clients:contains(/[12]\\d/)" },
        {
            content: "Open the waiting clients …",
            trigger: ".o_overview_pools tr:contains('desk/odoo') td:nth-child(2) button",
            run: "click",
        },
        { trigger: ".o_data_row td[name=state]:contains('waiting')" },
        back,
        {
            content: "… and the servers that they wait for",
            trigger: ".o_overview_pools tr:contains('desk/odoo') td:contains('5 of 5') button",
            run: "click",
        },
        { trigger: ".o_data_row td[name=state]:contains('active')" },
    ],
});

tours.add("pgbouncer_monitor_overview_stopped", {
    steps: () => [
        { trigger: `${card("Test PgBouncer")}[data-level=ok]` },
        { trigger: ".o_live_status select", run: "select 5" },
        {
            content: "It stopped: reason, remedy and time are shown without a click",
            trigger: `${card("Test PgBouncer")}[data-level=unknown]:contains('No server listens'):contains('Check that PgBouncer is running')`,
            timeout: 30000,
        },
        {
            trigger: `${card("Test PgBouncer")} .o_endpoint_silent:contains('No answer. Last answer at')`,
        },
        {
            content: "The page does not claim that no client waits",
            trigger:
                ".o_overview_pools:contains('Unknown for PgBouncers that do not answer: Test PgBouncer'):not(:contains('None'))",
        },
        {
            trigger:
                ".o_overview_holders:contains('Counted under other components, because they do not answer: Test PgBouncer')",
        },
        { trigger: `${card("PostgreSQL of this Odoo")}[data-level=ok]` },
    ],
});

const tree = ".o_overview_blocked .card:contains('first')";

tours.add("pgbouncer_monitor_overview_blocked", {
    steps: () => [
        {
            content: "Who blocks whom, the root first",
            trigger: `${tree} .o_overview_node[data-depth='0']:contains('blocks 32'):contains('first'):contains('idle in transaction')`,
        },
        { trigger: `${tree} .o_overview_node[data-depth='1']:contains('waiting for PID')` },
        {
            trigger: `${tree} .o_overview_node[data-depth='2']:contains('third'):contains('waiting for')`,
        },
        { trigger: `${tree} button:contains('more')` },
        {
            content: "Each session has its own PID",
            trigger: ".o_overview_transactions .o_overview_session",
            run() {
                const buttons = document.querySelectorAll(
                    ".o_overview_transactions .o_overview_session button.fw-bold",
                );
                const pids = [...buttons].map((button) => button.textContent);
                if (pids.length !== 3 || new Set(pids).size !== pids.length) {
                    throw new Error(`PIDs: ${pids}`);
                }
            },
        },
        {
            content: "One click opens the root",
            trigger: `${tree} .o_overview_node[data-depth='0'] button:contains('PID')`,
            run: "click",
        },
        { trigger: ".o_form_view div[name=application_name]:contains('first')" },
        back,
        {
            content: "Only the root can be terminated",
            trigger: `${tree}:not(:has([data-depth='1'] .btn-outline-danger)) [data-depth='0'] button:contains('Terminate')`,
            run: "click",
        },
        { trigger: ".modal:contains('its transaction is rolled back') .btn-primary", run: "click" },
        { trigger: ".o_notification:contains('the signal was sent')" },
        {
            content: "The page refreshes itself: the root has ended",
            trigger: ".o_overview_blocked:not(:contains('first'))",
        },
    ],
});

tours.add("pgbouncer_monitor_overview_viewer", {
    steps: () => [
        {
            content: "The sampler has not run: since when, why, and what to do",
            trigger:
                ".o_overview_overdue[role=alert]:contains('Nothing has been sampled yet'):contains('Odoo deactivated'):contains('enable “Log Connection Pressure”')",
        },
        { trigger: ".o_connection_light[data-level=warning]", run: "click" },
        {
            trigger:
                ".o_connection_light_overdue:has([data-level=warning]):contains('Nothing is sampled'):contains('Odoo deactivated')",
        },
        { trigger: ".o_connection_light", run: "click" },
        {
            content: "Without a PgBouncer the page does not claim that no client waits",
            trigger:
                ".o_overview_pools:contains('No PgBouncer is monitored'):not(:contains('None')):not(:contains('Add one'))",
        },
        { trigger: `${tree} .o_overview_node[data-depth='2']:contains('third')` },
        {
            content: "No queries, and no button that ends a session",
            trigger:
                ".o_overview_hurts:not(:has(code)):not(:has(.btn-outline-danger)):not(:contains('pg_advisory'))",
        },
        { trigger: `${tree} [data-depth='0'] button:contains('PID')`, run: "click" },
        { trigger: ".o_form_view div[name=application_name]:contains('first')" },
    ],
});
