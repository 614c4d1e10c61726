import { onMounted, onWillUnmount, useExternalListener, useState } from "@odoo/owl";
import { browser } from "@web/core/browser/browser";
import { user } from "@web/core/user";
import { useService } from "@web/core/utils/hooks";
import { session } from "@web/session";

// Milliseconds between two requests of all tabs together.
export const INTERVAL = 60000;
// Milliseconds after which an answer is too old to count.
export const MAX_AGE = 3 * INTERVAL;
// How long a new tab waits for the answer that another one has, and the pause between two checks of the clock.
const FIRST_PATIENCE = 500;
const TICK = 10000;

/** Whether less than some milliseconds have passed since a time. A clock that was set back does not count. */
const isRecent = (time, milliseconds) => Math.abs(Date.now() - time) < milliseconds;

/**
 * The answer of connection.overview's `get_status`, which all tabs of a user share.
 *
 * A visible tab sends a request if none of them has sent one for a minute. It announces it to the others, and passes the
 * answer on. Hidden tabs send none. After a failure, the next attempt is a minute later, too.
 *
 * @returns {{status: Object|null, readAt: number, now: number, isKnown: boolean}} the last answer, when it came and what
 *      time it is now in milliseconds, and whether it is recent
 */
export function useStatus() {
    const orm = useService("orm");
    const state = useState({ status: null, readAt: 0, now: Date.now(), isKnown: false });
    let askedAt = 0; // when a tab sent the last request
    let isReading = false; // this tab
    let answer = null; // what is shared
    let timers = [];
    let channel = null;

    function tick() {
        state.now = Date.now();
        state.status = answer?.status ?? null;
        state.readAt = answer?.readAt ?? 0;
        state.isKnown = !answer?.isFailure && isRecent(state.readAt, MAX_AGE);
    }

    async function read() {
        askedAt = Date.now();
        isReading = true;
        channel.postMessage({ askedAt });
        try {
            const status = await orm.silent.call("connection.overview", "get_status");
            answer = { status, readAt: Date.now() };
        } catch {
            // Odoo is not there, or the session is over: the light says so.
            answer = { ...answer, isFailure: true };
        }
        isReading = false;
        channel?.postMessage({ askedAt, answer });
        tick();
    }

    async function check() {
        tick();
        if (!document.hidden && !isReading && !isRecent(askedAt, INTERVAL)) {
            await read();
        }
    }

    function onMessage({ data }) {
        if (data.isNew && answer) {
            channel.postMessage({ askedAt, answer });
        }
        askedAt = Math.max(askedAt, data.askedAt ?? 0);
        if (data.answer && (data.answer.readAt ?? 0) >= (answer?.readAt ?? 0)) {
            answer = data.answer;
            tick();
        }
    }

    useExternalListener(document, "visibilitychange", check);
    onMounted(() => {
        channel = new browser.BroadcastChannel(
            `pgbouncer_monitor.status.${session.db}.${user.userId}`,
        );
        channel.addEventListener("message", onMessage);
        channel.postMessage({ isNew: true });
        timers = [browser.setTimeout(check, FIRST_PATIENCE), browser.setInterval(check, TICK)];
    });
    onWillUnmount(() => {
        browser.clearTimeout(timers[0]);
        browser.clearInterval(timers[1]);
        channel.close();
        channel = null;
    });
    return state;
}
