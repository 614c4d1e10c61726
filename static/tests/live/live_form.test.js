import {
    advanceTime,
    animationFrame,
    click,
    describe,
    expect,
    queryAllTexts,
    test,
} from "@odoo/hoot";
import {
    allowTranslations,
    contains,
    defineModels,
    fields,
    MockServer,
    models,
    mountView,
    onRpc,
    pagerNext,
} from "@web/../tests/web_test_helpers";
import { defineMailModels } from "@mail/../tests/mail_test_helpers";
import { remember } from "@pgbouncer_monitor/live/last_seen";
import { REFRESH_DELAY } from "@pgbouncer_monitor/live/live";
import "@pgbouncer_monitor/live_form/live_form";
import "@pgbouncer_monitor/live_list/live_list";

describe.current.tags("desktop");

class Session extends models.Model {
    _name = "session";
    name = fields.Char();
    state = fields.Char();
    version = fields.Char();
    _records = [
        { id: 1, name: "one", state: "idle" },
        { id: 2, name: "two", state: "active" },
    ];
}
defineMailModels();
defineModels([Session]);

const ARCH = `
    <form js_class="live_form" create="0" edit="0" delete="0">
        <header><button name="terminate" type="object" string="Terminate" /></header>
        <sheet>
            <div name="button_box"><button name="open" type="object" class="oe_stat_button">Pool</button></div>
            <field name="name" /><field name="state" />
        </sheet>
    </form>`;
const ENDED = "This session has ended.";
const LOST = { type: "danger", text: "Lost: No server listens", remedy: "Start it" };
const READ_AT = "2026-01-31 13:03:05";

let gone;
let notices;

/** Opens a form, whose server forgets the rows in `gone`. */
async function mountForm(resId, params = {}) {
    allowTranslations();
    [gone, notices] = [[], []];
    Object.assign(gone, params.gone);
    onRpc("session", "web_read_live", function ({ args: [ids, specification] }) {
        const records = this.env.session.web_read(
            ids.filter((id) => !gone.includes(id)),
            specification,
        );
        const absence = !records.length && (notices.length ? "It is unknown." : ENDED);
        return { records, reading: { read_at: READ_AT, notices, absence } };
    });
    onRpc("session", "terminate", () => expect.step("terminate"));
    await mountView({ type: "form", resModel: "session", resId, resIds: [1, 2], arch: ARCH });
}

async function refresh() {
    await advanceTime(REFRESH_DELAY);
    await animationFrame();
}

const shownNotices = () => queryAllTexts(".o_live_notice");

test("refreshes itself, and is never edited or saved", async () => {
    onRpc("web_save", () => expect.step("web_save"));
    await mountForm(1);
    expect("div[name=state]").toHaveText("idle");
    MockServer.env.session.write([1], { state: "active" });
    await refresh();
    expect("div[name=state]").toHaveText("active");
    expect(".o_live_read_at").toHaveText("14:03:05");
    expect(".o_form_readonly").toHaveCount(1);
    expect(".o_form_button_save, .o_form_status_indicator").toHaveCount(0);
    expect.verifySteps([]);
});

test("a row that ends stays as it was last seen, without its buttons", async () => {
    await mountForm(1);
    expect("button[name=terminate], button[name=open]").toHaveCount(2);
    gone.push(1);
    await refresh();
    expect(shownNotices()).toEqual([`${ENDED} Last seen at 14:03:05, as shown below.`]);
    expect("div[name=name]").toHaveText("one");
    expect("button[name=terminate], button[name=open]").toHaveCount(0);
    gone.pop(); // a pool comes back
    await refresh();
    expect(shownNotices()).toEqual([]);
    expect("button[name=terminate]").toHaveCount(1);
});

test("a row that ends before a click gets no action", async () => {
    await mountForm(1);
    gone.push(1);
    await click("button[name=terminate]");
    await animationFrame();
    expect(shownNotices()[0]).toInclude(ENDED);
    expect.verifySteps([]);
});

test("a row that ended before its form was opened is shown as the list had it", async () => {
    remember("session", [{ id: 2, name: "two in the list" }], READ_AT);
    await mountForm(1, { gone: [2] });
    await pagerNext();
    expect(shownNotices()).toEqual([`${ENDED} Last seen at 14:03:05, as shown below.`]);
    expect("div[name=name]").toHaveText("two in the list");
    await refresh();
    expect("div[name=name]").toHaveText("two in the list");
    expect("div[name=state]").toHaveText("");
});

test("of a row that nobody saw, nothing is known", async () => {
    await mountForm(77, { gone: [77] });
    expect(shownNotices()).toEqual([`${ENDED} Nothing else is known about it here.`]);
    expect(".o_form_renderer, .o_live_read_at").toHaveCount(0);
});

test("a row whose server does not answer has not ended", async () => {
    await mountForm(1);
    gone.push(1);
    notices.push(LOST);
    await refresh();
    expect(shownNotices()).toEqual([
        "It is unknown. Last seen at 14:03:05, as shown below.",
        "Lost: No server listens\nStart it",
    ]);
});

test("the last values stay if a reading fails", async () => {
    await mountForm(1);
    onRpc("session", "web_read_live", () => {
        throw new Error("no answer");
    });
    await refresh();
    expect(shownNotices()[0]).toInclude("Data from 14:03:05. Refresh failed:");
    expect("div[name=name]").toHaveText("one");
});

test("a list leaves out a column that no server reports, and says so if the user chose it", async () => {
    allowTranslations();
    onRpc("session", "web_search_read", ({ parent }) => ({
        ...parent(),
        reading: { read_at: READ_AT, notices: [], unreported: ["state", "version"] },
    }));
    await mountView({
        type: "list",
        resModel: "session",
        arch: `<list js_class="live_list">
            <field name="name" /><field name="state" optional="show" /><field name="version" optional="hide" />
        </list>`,
    });
    expect("th[data-name=name]").toHaveCount(1);
    expect("th[data-name=state]").toHaveCount(0);
    expect(shownNotices()).toEqual([]);
    await contains(".o_optional_columns_dropdown button").click();
    await contains(".o-dropdown--menu input[name=version]").click();
    await animationFrame();
    expect("th[data-name=version]").toHaveCount(0);
    expect(shownNotices()).toEqual(["Not shown, because no server here reports it: Version."]);
});
