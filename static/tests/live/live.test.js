import {
    advanceTime,
    after,
    animationFrame,
    Deferred,
    describe,
    destroy,
    expect,
    test,
    tick,
} from "@odoo/hoot";
import { Component, xml } from "@odoo/owl";
import { allowTranslations, mountWithCleanup } from "@web/../tests/web_test_helpers";
import { REFRESH_DELAY, useLive } from "@pgbouncer_monitor/live/live";

describe.current.tags("headless");

// Milliseconds that a busy machine may take for a test: they count, too.
const MARGIN = 3000;

/** Mounts a component with the hook. Each reading is a step. */
async function mountLive({ read = () => {}, ...options } = {}) {
    allowTranslations();
    class Live extends Component {
        static props = [];
        static template = xml`<span t-esc="live.failure" />`;
        setup() {
            this.live = useLive({
                read() {
                    expect.step("read");
                    return read();
                },
                ...options,
            });
        }
    }
    return await mountWithCleanup(Live, { env: {}, noMainContainer: true });
}

async function setHidden(isHidden) {
    Object.defineProperty(document, "hidden", { value: isHidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
    await tick();
}

async function hidePage() {
    after(() => delete document.hidden);
    await setHidden(true);
}

/** Ends a reading, and waits until its result is shown. */
async function finish(reading) {
    reading.resolve();
    await tick();
    await animationFrame();
}

test("reads again after each delay", async () => {
    await mountLive();
    await advanceTime(REFRESH_DELAY - MARGIN);
    expect.verifySteps([]);
    await advanceTime(MARGIN);
    expect.verifySteps(["read"]);
    await advanceTime(REFRESH_DELAY);
    await advanceTime(REFRESH_DELAY);
    expect.verifySteps(["read", "read"]);
});

test("takes the delay that is chosen, and starts it anew when it changes", async () => {
    let delay = 60000;
    const { live } = await mountLive({ delay: () => delay });
    await advanceTime(59000);
    delay = 10000;
    live.restart();
    await advanceTime(10000 - MARGIN);
    expect.verifySteps([]);
    await advanceTime(MARGIN);
    expect.verifySteps(["read"]);
    await advanceTime(10000);
    expect.verifySteps(["read"]);
});

test("pauses while the page is hidden, and reads at once when it is shown", async () => {
    await mountLive();
    await hidePage();
    await advanceTime(REFRESH_DELAY);
    await advanceTime(REFRESH_DELAY);
    expect.verifySteps([]);
    await setHidden(false);
    expect.verifySteps(["read"]);
    await advanceTime(REFRESH_DELAY);
    expect.verifySteps(["read"]);
});

test("pauses while its component says so, for example while rows are selected", async () => {
    let isPaused = true;
    await mountLive({ isPaused: () => isPaused });
    await advanceTime(REFRESH_DELAY);
    await hidePage();
    await setHidden(false);
    expect.verifySteps([]);
    isPaused = false;
    await advanceTime(REFRESH_DELAY);
    expect.verifySteps(["read"]);
});

test("pauses when switched off", async () => {
    const { live } = await mountLive();
    live.on = false;
    await advanceTime(REFRESH_DELAY);
    await hidePage();
    await setHidden(false);
    expect.verifySteps([]);
    live.on = true;
    await advanceTime(REFRESH_DELAY);
    expect.verifySteps(["read"]);
});

test("backs off after a slow reading, for twice its time", async () => {
    const slow = new Deferred();
    const readings = [slow];
    await mountLive({ read: () => readings.pop() });
    await advanceTime(REFRESH_DELAY);
    expect.verifySteps(["read"]);
    await advanceTime(10000);
    expect.verifySteps([], { message: "one reading at a time" });
    await finish(slow);
    await advanceTime(19000);
    expect.verifySteps([]);
    await advanceTime(2000);
    expect.verifySteps(["read"]);
    await advanceTime(REFRESH_DELAY);
    expect.verifySteps(["read"], { message: "a fast one is followed by the usual delay" });
});

test("does not count the time that the computer slept", async () => {
    const interrupted = new Deferred();
    const readings = [interrupted];
    await mountLive({ read: () => readings.pop() });
    await advanceTime(REFRESH_DELAY);
    await advanceTime(3600000);
    await finish(interrupted);
    await advanceTime(30000);
    expect.verifySteps(["read", "read"]);
});

test("has one reading at a time, and requests during it share the next one", async () => {
    const first = new Deferred();
    const readings = [first];
    const { live } = await mountLive({ read: () => readings.pop() });
    const requests = [live.refresh()];
    await tick();
    requests.push(live.refresh(), live.refresh());
    await tick();
    expect.verifySteps(["read"]);
    first.resolve();
    await Promise.all(requests);
    expect.verifySteps(["read"]);
});

test("shows why a reading failed, until one succeeds", async () => {
    const failures = [new Error("Connection lost"), { data: { message: "Access Error" } }];
    await mountLive({
        async read() {
            if (failures.length) {
                throw failures.shift();
            }
        },
    });
    await advanceTime(REFRESH_DELAY);
    expect("span").toHaveText("Connection lost");
    await advanceTime(REFRESH_DELAY);
    expect("span").toHaveText("Access Error");
    await advanceTime(REFRESH_DELAY);
    expect("span").toHaveText("");
    expect.verifySteps(["read", "read", "read"]);
});

test("reports a reading that is not answered", async () => {
    const silent = new Deferred();
    await mountLive({ read: () => silent });
    await advanceTime(REFRESH_DELAY);
    await advanceTime(14000);
    expect("span").toHaveText("");
    await advanceTime(2000);
    expect("span").toHaveText("Odoo does not answer.");
    await finish(silent);
    expect("span").toHaveText("");
    expect.verifySteps(["read"]);
});

test("stops when its component is destroyed between two readings", async () => {
    destroy(await mountLive());
    await advanceTime(REFRESH_DELAY);
    await hidePage();
    await setHidden(false);
    expect.verifySteps([]);
});

test("stops when its component is destroyed during a reading", async () => {
    const slow = new Deferred();
    const component = await mountLive({ read: () => slow });
    await advanceTime(REFRESH_DELAY);
    destroy(component);
    await finish(slow);
    await advanceTime(60000);
    expect.verifySteps(["read"]);
});
