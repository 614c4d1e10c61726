/* global axe, odoo */
// Runs on a phone, in the cards of the sessions, after axe-core.

(async () => {
    const problems = [];
    const { action } = odoo.__WOWL_DEBUG__.root.env.services;
    const sleep = (delay) => new Promise((resolve) => setTimeout(resolve, delay));
    // Odoo's forms have smaller ones.
    const TARGETS =
        ":is(.o_kanban_record, .o_endpoint_card, .o_connection_overview, .o_listen_check) :is(button, select)";
    // Odoo's own elements around a screen, and charts that scroll by themselves, are not checked.
    const root = () => document.querySelector(".o_action_manager");

    /** Waits for an element that has each of the texts. */
    async function find(selector, ...texts) {
        const deadline = Date.now() + 20000;
        while (Date.now() < deadline) {
            const found = [...document.querySelectorAll(selector)].find(
                (element) =>
                    element.getClientRects().length &&
                    texts.every((text) => element.textContent.includes(text)),
            );
            if (found) {
                return found;
            }
            await sleep(50);
        }
        throw new Error(`not there: ${selector} with ${texts}: ${root().textContent}`);
    }

    function scrolls(element) {
        return (
            element &&
            (getComputedStyle(element).overflowX !== "visible" || scrolls(element.parentElement))
        );
    }

    /** No sideways scroll, nothing beyond the edges, and no target that is too small for a finger. */
    function checkSize(name, width) {
        // A chart follows a change of the width later.
        const views = root().querySelectorAll(".o_kanban_view");
        for (const { scrollWidth, clientWidth } of [document.scrollingElement, ...views]) {
            if (scrollWidth > clientWidth) {
                problems.push(`${name} scrolls sideways at ${width}`);
            }
        }
        for (const element of root().querySelectorAll("*")) {
            const { left, right, width: ownWidth, height } = element.getBoundingClientRect();
            const isShown = ownWidth && height && !element.closest(".visually-hidden");
            if (isShown && (left < -1 || right > width + 1) && !scrolls(element.parentElement)) {
                problems.push(`${name} sticks out at ${width}: ${element.outerHTML.slice(0, 200)}`);
            }
            if (isShown && element.matches(TARGETS) && height < 24) {
                problems.push(`${name}: ${height} px high: ${element.outerHTML.slice(0, 200)}`);
            }
        }
    }

    function checkSizes(name) {
        checkSize(name, innerWidth);
        document.body.style.width = "360px";
        checkSize(name, 360);
        document.body.style.width = "";
    }

    async function check(name) {
        checkSizes(name);
        // Cards are all alike, and the Overview has a check of its own.
        const parts = [
            ...root().querySelectorAll(
                ".o_kanban_renderer .o_kanban_record, .o_listen_check, .o_comparison",
            ),
        ];
        if (!parts.length) {
            return;
        }
        const { violations } = await axe.run(parts.slice(0, 3));
        for (const { id, impact, help, nodes } of violations) {
            if (["serious", "critical"].includes(impact)) {
                const html = nodes.map((node) => node.html.slice(0, 300)).join(" ");
                problems.push(`${name}: ${impact}: ${id}: ${help}: ${html}`);
            }
        }
    }

    async function open(name, ...shown) {
        await action.doAction(`pgbouncer_monitor.${name}_action`, { clearBreadcrumbs: true });
        const element = await find(...shown);
        await check(name);
        return element;
    }

    /** Opens cards, and returns the first that has each of the texts. */
    const openCards = (name, ...texts) => open(name, ".o_kanban_record", ...texts);

    async function press(element, selector) {
        const button = element.querySelector(selector);
        if (!button) {
            throw new Error(`no ${selector} on ${element.textContent}`);
        }
        button.click();
    }

    try {
        const hidden = await find(".o_kanban_record", "shop", "Hidden");
        if (hidden.querySelector("button")) {
            problems.push("a hidden session has buttons");
        }
        const session = await find(
            ".o_kanban_record",
            "canceled_",
            "active",
            "State (s)",
            "PgSleep",
        );
        await check("sessions");
        await press(session, "button[name=action_cancel]");
        (await find(".modal .btn-primary")).click();
        await find(".o_notification", "the signal was sent");

        const pool = await openCards("pgbouncer_pool", "tiny", "odoo", "Clients Waiting1");
        pool.focus();
        const readAt = await find(".o_live_read_at");
        const before = readAt.textContent;
        while (readAt.textContent === before) {
            await sleep(100);
        }
        await sleep(200);
        if (document.activeElement !== pool) {
            problems.push("a refresh took the focus away");
        }

        pool.dispatchEvent(new MouseEvent("click", { altKey: true, bubbles: true }));
        await find(".o_live_status button", "while rows are selected");
        checkSizes("selected pools"); // the colors are Odoo's

        await action.doAction("pgbouncer_monitor.connection_alert_action", {
            additionalContext: { search_default_closed: 1 },
        });
        const ofFilter = ["Nothing matches the filter", "An alert opens when"];
        const empty = await find(".o_kanban_view .o_view_nocontent", ...ofFilter);
        if (empty.textContent.includes("No alert so far")) {
            problems.push("open alerts are denied");
        }
        await find(".o_kanban_view .o_live_notice", "Log Connection Pressure");
        await check("closed alerts");

        const alert = await openCards("connection_alert", "tiny/odoo", "Critical", "Opened");
        await press(alert, "button[name=action_acknowledge]");
        await find(".o_kanban_record", "tiny/odoo", "Acknowledged By");
        (await find(".o_kanban_record", "tiny/odoo")).click();
        await find(".o_form_view", "What to do first");
        await check("alert");

        await openCards("pgbouncer_client", "tiny/odoo", "waiting", "Wait (s)");
        await openCards("pgbouncer_server", "tiny/odoo", "active");
        await openCards("pgbouncer_database", "tiny", "Pool Size1");
        await openCards("pgbouncer_user", "pgbouncer_stats");
        await openCards("pgbouncer_stat", "Queries/s");
        await openCards("pgbouncer_setting", "max_client_conn", "1000");
        await openCards("connection_check", "Bus", "Direct", "It listens.");
        await openCards("connection_rule", "Longest Wait");
        await open("pgbouncer_peer", ".o_live_notice", "does not have this command");
        await open("connection_sample", ".o_graph_renderer");
        await open("connection_comparison", ".o_comparison canvas");
        await open("listen_check", ".o_listen_check", "It listens.");
        await open("connection_overview", ".o_overview_pools", "tiny/odoo");

        await openCards("connection_endpoint", "63 characters", "Sample Now", "Last Seen");
        (await find(".o_kanban_record", "63 characters")).click();
        await find(".o_form_view .o_endpoint_card", "Fullest pool");
        await find(".o_field_x2many_kanban");
        await check("endpoint");
    } catch (error) {
        problems.push(error.message);
    }

    if (problems.length) {
        console.error(problems.join("\n"));
    } else {
        console.log("test successful");
    }
})();
