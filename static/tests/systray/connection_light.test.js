import {
    advanceTime,
    after,
    animationFrame,
    describe,
    destroy,
    expect,
    test,
    tick,
} from "@odoo/hoot";
import { Component, xml } from "@odoo/owl";
import {
    allowTranslations,
    mountWithCleanup,
    patchWithCleanup,
} from "@web/../tests/web_test_helpers";
import { browser } from "@web/core/browser/browser";
import { user } from "@web/core/user";
import {
    ConnectionLight,
    ConnectionLightOfViewers,
} from "@pgbouncer_monitor/systray/connection_light";
import { INTERVAL, MAX_AGE, useStatus } from "@pgbouncer_monitor/systray/status";

describe.current.tags("headless");

const TICK = 10000;
const OK = { level: "ok", open_alerts: 0, endpoints: [], checks: [] };

/** Delivers messages at once to all others of that name, as tabs do it to each other. */
class Channel {
    static all = new Set();
    constructor(name) {
        this.name = name;
        Channel.all.add(this);
    }
    addEventListener(_type, listener) {
        this.listener = listener;
    }
    postMessage(message) {
        for (const other of Channel.all) {
            if (other !== this && other.name === this.name) {
                other.listener({ data: structuredClone(message) });
            }
        }
    }
    close() {
        Channel.all.delete(this);
    }
}

function prepare() {
    allowTranslations();
    Channel.all.clear();
    patchWithCleanup(browser, { BroadcastChannel: Channel });
}

/** Mounts what a tab has. Each request is a step: which of several tabs sends it depends on their clocks. */
async function openTab(read = () => OK) {
    class Tab extends Component {
        static props = [];
        static template = xml`<span t-esc="state.isKnown ? state.status.level : 'unknown'" />`;
        setup() {
            this.state = useStatus();
        }
    }
    const call = async (...args) => {
        expect.step(args.join("."));
        return read();
    };
    const env = { services: { orm: { silent: { call } } } };
    const tab = await mountWithCleanup(Tab, { env, noMainContainer: true });
    return { tab, level: () => (tab.state.isKnown ? tab.state.status.level : "unknown") };
}

async function setHidden(isHidden) {
    Object.defineProperty(document, "hidden", { value: isHidden, configurable: true });
    after(() => delete document.hidden);
    document.dispatchEvent(new Event("visibilitychange"));
    await tick();
}

/** Lets time pass as in a browser: what a timer has started goes on before the next one. */
async function pass(milliseconds) {
    for (let passed = 0; passed < milliseconds; passed += TICK) {
        await advanceTime(TICK);
    }
}

const REQUEST = "connection.overview.get_status";

test("sends one request a minute, none while the page is hidden", async () => {
    prepare();
    const { level } = await openTab();
    expect(level()).toBe("unknown");
    await pass(INTERVAL / 2);
    expect.verifySteps([REQUEST]);
    expect(level()).toBe("ok");
    await pass(INTERVAL);
    expect.verifySteps([REQUEST]);
    await setHidden(true);
    await pass(INTERVAL * 2);
    expect.verifySteps([]);
    await setHidden(false);
    expect.verifySteps([REQUEST]);
    await setHidden(true);
    await setHidden(false);
    expect.verifySteps([]);
});

test("one of several tabs sends the request, and another one when that is gone", async () => {
    prepare();
    const first = await openTab();
    const second = await openTab();
    await pass(INTERVAL * 2 - TICK);
    expect.verifySteps([REQUEST, REQUEST]);
    expect([first.level(), second.level()]).toEqual(["ok", "ok"]);
    const third = await openTab();
    expect(third.level()).toBe("ok");
    expect.verifySteps([]);
    destroy(first.tab);
    await pass(INTERVAL);
    expect.verifySteps([REQUEST]);
});

test("a failure is unknown in all tabs, and the next request is a minute later", async () => {
    prepare();
    let isBroken = false;
    const read = () => {
        if (isBroken) {
            throw new Error("offline");
        }
        return OK;
    };
    const first = await openTab(read);
    const second = await openTab(read);
    await pass(TICK);
    isBroken = true;
    await pass(INTERVAL);
    expect.verifySteps([REQUEST, REQUEST]);
    expect([first.level(), second.level()]).toEqual(["unknown", "unknown"]);
    isBroken = false;
    await pass(INTERVAL + TICK);
    expect.verifySteps([REQUEST]);
    expect([first.level(), second.level()]).toEqual(["ok", "ok"]);
});

test("an answer that is too old is unknown, also while a request lasts", async () => {
    prepare();
    let count = 0;
    const { level } = await openTab(() => (count++ ? new Promise(() => {}) : OK));
    await pass(INTERVAL * 2);
    expect(level()).toBe("ok");
    await pass(MAX_AGE);
    expect(level()).toBe("unknown");
    expect.verifySteps([REQUEST, REQUEST]);
});

for (const [isViewer, isWanted] of [
    [false, true],
    [true, false],
    [true, true],
]) {
    test(`Viewer: ${isViewer}, switched on: ${isWanted}`, async () => {
        prepare();
        patchWithCleanup(user, {
            hasGroup: async () => isViewer,
            settings: { has_connection_light: isWanted },
        });
        class Light extends Component {
            static props = [];
            static template = xml`<i class="light" />`;
        }
        patchWithCleanup(ConnectionLightOfViewers, { components: { ConnectionLight: Light } });
        await mountWithCleanup(ConnectionLightOfViewers, { env: {}, noMainContainer: true });
        await animationFrame();
        expect(".light").toHaveCount(isViewer && isWanted ? 1 : 0);
    });
}

test("shows the level as a text, and how old a sample is", () => {
    allowTranslations();
    const light = Object.create(ConnectionLight.prototype);
    light.state = {
        isKnown: true,
        readAt: 0,
        now: 60000,
        status: { ...OK, level: "warning", open_alerts: 2 },
    };
    expect(light.label).toBe("Database connections: Warning, open alerts: 2");
    expect(light.measured({ age: 60 })).toBe("Measured 2 minutes ago");
    expect(light.measured({ age: null })).toBe("Not measured yet");
    light.state.isKnown = false;
    expect(light.label).toBe("Database connections: Unknown, open alerts: ?");
    expect(light.levelOf({ level: "ok" })).toBe("unknown");
});
