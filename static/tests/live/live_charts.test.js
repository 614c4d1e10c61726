import { animationFrame, Deferred, describe, expect, queryAllTexts, test } from "@odoo/hoot";
import {
    defineModels,
    fields,
    models,
    mountView,
    onRpc,
    toggleMenuItem,
    toggleSearchBarMenu,
} from "@web/../tests/web_test_helpers";
import { defineMailModels } from "@mail/../tests/mail_test_helpers";
import "@pgbouncer_monitor/live_charts/live_charts";

describe.current.tags("desktop");

class Session extends models.Model {
    _name = "session";
    state = fields.Char();
    _records = [
        { id: 1, state: "idle" },
        { id: 2, state: "active" },
    ];
}
defineMailModels();
defineModels([Session]);

test("a chart does not wait for its notices, and keeps them if Odoo does not answer", async () => {
    const slow = new Deferred();
    const answers = [
        () => "first",
        () => slow,
        () => "third",
        () => Promise.reject(new Error("lost")),
    ];
    onRpc("session", "get_empty_help", () => "");
    onRpc("session", "get_notices", async () => [
        { type: "warning", text: await answers.shift()() },
    ]);
    await mountView({
        type: "graph",
        resModel: "session",
        arch: `<graph js_class="live_graph"><field name="state" /></graph>`,
        searchViewArch: `
            <search>
                <filter name="idle" string="Idle" domain="[('state', '=', 'idle')]" />
                <filter name="active" string="Active" domain="[('state', '=', 'active')]" />
            </search>`,
    });
    const notices = () => queryAllTexts(".o_live_notice");
    expect(notices()).toEqual(["first"]);
    await toggleSearchBarMenu();
    await toggleMenuItem("Idle");
    expect(".o_facet_values").toHaveText("Idle");
    expect(notices()).toEqual(["first"]);
    await toggleMenuItem("Active");
    await animationFrame();
    expect(notices()).toEqual(["third"]);
    slow.resolve("second, too late");
    await animationFrame();
    expect(notices()).toEqual(["third"]);
    await toggleMenuItem("Active");
    await animationFrame();
    expect(answers).toHaveLength(0);
    expect(notices()).toEqual(["third"]);
});
