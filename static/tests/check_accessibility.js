/* global axe, odoo */
// Runs in the Overview, after axe-core: the first steps, the menu of the light, and the cards of each list.

(async () => {
    const problems = [];
    const { action } = odoo.__WOWL_DEBUG__.root.env.services;
    const lists = [
        "pg_stat_activity",
        "pgbouncer_pool",
        "pgbouncer_client",
        "connection_alert",
        "connection_endpoint",
        "connection_check",
    ];

    async function appear(selector) {
        while (!document.querySelector(selector)) {
            await new Promise((resolve) => setTimeout(resolve, 50));
        }
        // Colors that change slowly would be measured on their way.
        await Promise.allSettled(document.getAnimations().map(({ finished }) => finished));
    }

    async function check(name, selector) {
        await appear(selector);
        const { violations, passes } = await axe.run(document.querySelector(selector));
        if (passes.length < 5) {
            problems.push(`${name}: axe-core has checked nothing`);
        }
        for (const { id, impact, help, nodes } of violations) {
            if (["serious", "critical"].includes(impact)) {
                problems.push(
                    `${name}: ${id}: ${help}: ${nodes.map((node) => node.html).join(" ")}`,
                );
            }
        }
    }

    await check("first steps", ".o_first_steps");
    await check("Overview", ".o_connection_overview");
    document.querySelector("button.o_connection_light").click();
    await appear(".o_connection_light_endpoint");
    await check("light", ".o_connection_light_menu");
    document.querySelector("button.o_connection_light").click();
    for (const list of lists) {
        await action.doAction(`pgbouncer_monitor.${list}_action`, {
            viewType: "kanban",
            additionalContext: { search_default_open: 0 },
        });
        await check(list, ".o_kanban_record");
    }

    if (problems.length) {
        console.error(problems.join("\n"));
    } else {
        console.log("test successful");
    }
})();
