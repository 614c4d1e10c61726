import { registry } from "@web/core/registry";

const tours = registry.category("web_tour.tours");

const start = (name, value) => [
    { trigger: `.o_field_widget[name=${name}] .o_input`, run: "click" },
    { trigger: `.o_field_widget[name=${name}] input`, run: `edit ${value} && press Tab` },
];
const duration = (value) => ({
    trigger: ".o_field_widget[name=duration] input",
    run: `edit ${value} && press Tab`,
});
const select = (name, label) => [
    { trigger: `.o_field_widget[name=${name}] input`, run: "click" },
    { trigger: `.o_select_menu_item:contains('${label}')`, run: "click" },
];
const row = (name, ...texts) => ({
    trigger: [`tr[data-figure=${name}]`, ...texts.map((text) => `:contains('${text}')`)].join(""),
});

tours.add("pgbouncer_monitor_comparison", {
    steps: () => [
        { trigger: ".o_comparison section:contains('No samples in these periods')" },
        {
            content: "There is nothing to save",
            trigger: ".o_form_view:not(:has(.o_form_button_save, .o_form_button_create))",
        },
        ...start("first_start", "03/01/2026 10:00:00"),
        ...start("second_start", "03/01/2026 10:00:00"),
        {
            trigger:
                ".alert:contains('Both periods start at the same time. Choose another start.')",
        },
        ...start("second_start", "03/02/2026 10:00:00"),
        ...select("unit", "Minutes"),
        duration(30),
        row("samples", "30", "20", "68 % of the time"),
        row("pressure_max", "80", "40", "0.5×"),
        {
            content:
                "Two lines, by minutes since the start, with a gap, that differ by more than their colors",
            trigger: ".o_comparison canvas[aria-label*='First Period']",
            run() {
                const label = this.anchor.ariaLabel.replaceAll(/\s/g, " ");
                for (const text of [
                    "Pressure, Maximum (%). Minutes since the start. ",
                    "First Period: 3/1/26, 10:00 AM: 80 to 80",
                    "Second Period: 3/2/26, 10:00 AM: 40 to 40",
                ]) {
                    if (!label.includes(text)) {
                        throw new Error(label);
                    }
                }
                const { datasets } = window.Chart.getChart(this.anchor).data;
                const [first, second] = datasets.map(({ data }) => data);
                if (first.length !== 30 || second[10].y !== null || second.at(-1).x !== 29) {
                    throw new Error(JSON.stringify([first, second]));
                }
                for (const style of ["borderDash", "pointStyle"]) {
                    if (`${datasets[0][style]}` === `${datasets[1][style]}`) {
                        throw new Error(`both lines have the same ${style}`);
                    }
                }
            },
        },
        ...select("figure", "Sessions Opened per Minute"),
        { trigger: ".o_comparison h3:contains('Sessions Opened per Minute')" },
        {
            content: "What was chosen is still there on the way back",
            trigger: ".o_menu_sections [data-menu-xmlid='pgbouncer_monitor.connection_alert_menu']",
            run: "click",
        },
        {
            trigger: ".o_breadcrumb .active:contains('Alerts')",
            run() {
                history.back();
            },
        },
        row("pressure_max", "80", "40", "0.5×"),
    ],
});
