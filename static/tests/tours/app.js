import { registry } from "@web/core/registry";

const tours = registry.category("web_tour.tours");

// Each screen as the menu names it: the path of menu items, and what it shows, with rows or an empty text.
const SCREENS = [
    [["connection_overview_menu"], "Overview", ".o_endpoint_card"],
    [["pg_stat_activity_menu"], "Sessions"],
    [["pgbouncer_menu", "pgbouncer_pool_menu"], "Pools"],
    [["pgbouncer_menu", "pgbouncer_client_menu"], "Clients"],
    [["pgbouncer_menu", "pgbouncer_server_menu"], "Servers"],
    [["pgbouncer_menu", "pgbouncer_database_menu"], "Databases"],
    [["pgbouncer_menu", "pgbouncer_user_menu"], "Users"],
    [["pgbouncer_menu", "pgbouncer_stat_menu"], "Statistics"],
    [["pgbouncer_menu", "pgbouncer_setting_menu"], "Configuration"],
    [["pgbouncer_menu", "pgbouncer_peer_menu"], "Peers"],
    [["history_menu", "connection_refusal_menu"], "Refused Requests"],
    [
        ["history_menu", "connection_sample_menu"],
        "Samples",
        ":is(.o_graph_renderer canvas, .o_view_nocontent)",
    ],
    [["connection_alert_menu"], "Alerts"],
    [["connection_check_menu"], "LISTEN Check", ".o_listen_check"],
    [["connection_advice_menu"], "Advice"],
    [["connection_plan_menu"], "Planner"],
    [["configuration_menu", "connection_endpoint_menu"], "Endpoints"],
    [["configuration_menu", "connection_rule_menu"], "Alert Rules"],
];
const ROWS =
    ":is(.o_data_row, .o_group_header, .o_kanban_record:not(.o_kanban_ghost), .o_view_nocontent_smiling_face, .o_view_nocontent p)";
const click = (trigger, content) => ({ content, trigger, run: "click" });
const menu = (name) => `[data-menu-xmlid='pgbouncer_monitor.${name}']`;
const TITLE = ".o_control_panel .o_breadcrumb";
const TITLE_ON_A_PHONE = ".o_navbar_breadcrumbs > *";
const shows = (title, content = ROWS, where = TITLE) => [
    { trigger: `${where}:contains('${title}')` },
    { trigger: `.o_content ${content}` },
];

const light = ".o_connection_light";
const LIGHT = [
    {
        content: "The light has the worst level and the number of alerts",
        trigger: `${light}[data-level=critical][aria-label*='Critical'][aria-label*='open alerts: 1'] .o_connection_light_count:contains('1')`,
    },
    click(light, "It opens the endpoints, with levels, figures and ages"),
    {
        trigger:
            ".o_connection_light_endpoint:contains('Test PgBouncer'):contains('Critical'):contains('Longest Wait'):contains('Measured')",
    },
    { trigger: ".o_connection_light_endpoint:contains('PostgreSQL of this Odoo'):contains('%')" },
    { trigger: ".o_connection_light_checks [data-level=ok]:contains('Bus: Direct')" },
];

const inApp = { trigger: ".o_menu_brand:contains('Database Connections')" };

tours.add("pgbouncer_monitor_app_desk", {
    steps: () => [
        click(".o-mail-DiscussSidebar-item:contains('Inbox')"),
        click(
            ".o-mail-Message a:contains('Test PgBouncer')",
            "From a message in Discuss into the app",
        ),
        { trigger: ".o_form_view .o_endpoint_card:contains('No clients waiting')" },
        inApp,
        click(".o_breadcrumb a:contains('Inbox')", "On the way back, Discuss has its own menu"),
        { trigger: ".o-mail-DiscussSidebar-item:contains('Inbox')" },
        { trigger: ".o_menu_brand:contains('Discuss')" },
        ...LIGHT,
        click(".o_connection_light_alerts"),
        ...shows("Alerts"),
        { trigger: ".o_searchview_facet:contains('Open')" },
        inApp,
        click(light),
        click(".o_connection_light_checks"),
        ...shows("LISTEN Check", ".o_listen_check"),
        click(".o_navbar_apps_menu button", "The app is among the others"),
        { trigger: `.o-dropdown--menu ${menu("pgbouncer_monitor_menu_root")}` },
        ...SCREENS.flatMap(([path, title, content]) => [
            click(`.o_menu_sections ${menu(path[0])}`),
            ...path.slice(1).map((name) => click(`.o-dropdown--menu ${menu(name)}`)),
            ...shows(title, content),
            inApp,
        ]),
        {
            content: "Settings are not for a Viewer",
            trigger: `body:not(:has(${menu("connection_settings_menu")}))`,
        },
    ],
});

tours.add("pgbouncer_monitor_app_phone", {
    steps: () => [
        ...LIGHT,
        click(".o_connection_light_endpoint:contains('Test PgBouncer')"),
        { trigger: ".o_form_view .o_endpoint_card:contains('No clients waiting')" },
        ...SCREENS.flatMap(([path, title, content]) => [
            click(".o_menu_toggle"),
            {
                content: "The menu of the app",
                trigger: ".o_burger_menu_content span:contains('Database Connections')",
            },
            click(`.o_app_menu_sidebar ${menu(path.at(-1))}`),
            { trigger: "body:not(:has(.o_app_menu_sidebar))" },
            ...shows(title, content, TITLE_ON_A_PHONE),
        ]),
    ],
});
