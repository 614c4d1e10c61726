/* global axe */
// Runs in the Overview, after axe-core.

(async () => {
    const problems = [];
    const only = (selector) => document.querySelector(`.o_connection_overview ${selector}`);
    const readAt = () => only(".o_live_read_at").textContent;
    const sleep = (delay) => new Promise((resolve) => setTimeout(resolve, delay));

    async function refresh() {
        const before = readAt();
        while (readAt() === before) {
            await sleep(100);
        }
        await sleep(500);
    }

    const { violations, passes } = await axe.run(document.querySelector(".o_connection_overview"));
    for (const { id, impact, help, nodes } of violations) {
        if (["serious", "critical"].includes(impact)) {
            problems.push(`${impact}: ${id}: ${help}: ${nodes.map((node) => node.html).join(" ")}`);
        }
    }
    if (passes.length < 10) {
        problems.push("axe-core has checked nothing");
    }

    const interval = only(".o_live_status select");
    interval.value = "5";
    interval.dispatchEvent(new Event("change"));
    await refresh();
    const shifts = [];
    const observer = new PerformanceObserver((list) => shifts.push(...list.getEntries()));
    observer.observe({ type: "layout-shift" });
    const link = only(".o_overview_node button");
    link.focus();
    const content = only(".o_content");
    content.scrollTop = 40;
    await refresh();
    await refresh();
    for (const { value, sources } of shifts) {
        const moved = sources.map(({ node }) => node?.textContent);
        problems.push(`layout shift of ${value}: ${moved.join(", ")}`);
    }
    if (document.activeElement !== link) {
        problems.push("the focus was lost");
    }
    if (content.scrollTop !== 40) {
        problems.push(`scrolled to ${content.scrollTop}`);
    }

    let isHidden = true;
    Object.defineProperty(document, "hidden", { get: () => isHidden });
    const before = readAt();
    await sleep(6000);
    if (readAt() !== before) {
        problems.push("it refreshed while the page was hidden");
    }
    isHidden = false;
    document.dispatchEvent(new Event("visibilitychange"));
    await sleep(2000);
    if (readAt() === before) {
        problems.push("it did not refresh when the page was shown again");
    }

    if (problems.length) {
        console.error(problems.join("\n"));
    } else {
        console.log("test successful");
    }
})();
