/* global odoo, page */
// Runs in the Overview: it and two other screens are in the user's language, and fit into the window.

(async () => {
    const problems = [];
    const { services } = odoo.__WOWL_DEBUG__.root.env;

    async function appear(selector) {
        while (!document.querySelector(selector)) {
            await new Promise((resolve) => setTimeout(resolve, 50));
        }
    }

    function* texts() {
        for (const element of document.querySelectorAll(".o_main_navbar *, .o_action_manager *")) {
            for (const { nodeType, textContent } of element.childNodes) {
                if (nodeType === Node.TEXT_NODE) {
                    yield textContent;
                }
            }
            for (const name of ["aria-label", "placeholder", "title"]) {
                yield element.getAttribute(name) || "";
            }
        }
    }

    function check(screen) {
        const shown = new Set([...texts()].map((text) => text.split(/\s+/).join(" ").trim()));
        const shownAs = (patterns) => {
            const any = new RegExp(`^(${patterns.join("|")})$`);
            return [...shown].filter((text) => any.test(text));
        };
        if (page.english) {
            const translated = shownAs(page.translated);
            for (const text of shownAs(page.english)) {
                if (!translated.includes(text)) {
                    problems.push(`${screen}: not translated: ${text}`);
                }
            }
            if (translated.length < 10) {
                problems.push(`${screen}: nothing is translated`);
            }
        }
        if (getComputedStyle(document.body).direction !== (page.direction || "ltr")) {
            problems.push(`${screen}: wrong direction`);
        }
        if (document.documentElement.scrollWidth > window.innerWidth) {
            problems.push(`${screen}: wider than the window`);
        }
    }

    check("Overview");
    await services.action.doAction({
        type: "ir.actions.act_window",
        res_model: "connection.alert",
        res_id: page.alert,
        views: [[false, "form"]],
    });
    await appear(".o_form_view");
    check("alert");
    await services.action.doAction("pgbouncer_monitor.listen_check_action");
    await appear(".o_listen_check");
    check("LISTEN check");

    if (problems.length) {
        console.error(problems.join("\n"));
    } else {
        console.log("test successful");
    }
})();
