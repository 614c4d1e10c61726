import { onMounted, onWillUnmount, useExternalListener, useState } from "@odoo/owl";
import { browser } from "@web/core/browser/browser";
import { deserializeDateTime } from "@web/core/l10n/dates";
import { _t } from "@web/core/l10n/translation";

// Milliseconds between two readings.
export const REFRESH_DELAY = 5000;
// The pause after a slow reading is this many times its duration, so that Odoo's workers stay free.
const REFRESH_DELAY_FACTOR = 2;
// After this many milliseconds without an answer the page says so.
const PATIENCE = 15000;

/** A text behind its label, in the punctuation of the user's language. */
export function labelled(label, text) {
    return _t("%(label)s: %(text)s", { label, text });
}

/** The time of a reading on the user's clock, e.g. 14:03:05. */
export function timeOfDay(utc) {
    return utc ? deserializeDateTime(utc).toFormat("HH:mm:ss") : "";
}

/**
 * Refreshes what a component shows. It pauses while the page is hidden; if a reading fails, the
 * last data stays.
 *
 * @param {Object} params
 * @param {() => Promise} params.read
 * @param {() => boolean} [params.isPaused]
 * @param {() => number} [params.delay] milliseconds between two readings
 * @returns {{on: boolean, failure: string, refresh: () => Promise, restart: () => void}} whether it
 *      refreshes; why the last reading failed; reads now; restarts the delay before the next reading
 */
export function useLive({ read, isPaused = () => false, delay = () => REFRESH_DELAY }) {
    let timer = null;
    let reading = null;

    async function readInTime() {
        const impatience = browser.setTimeout(() => {
            live.failure = _t("Odoo does not answer.");
        }, PATIENCE);
        try {
            await read();
            live.failure = "";
        } catch (error) {
            live.failure = error.data?.message || error.message;
        } finally {
            browser.clearTimeout(impatience);
        }
    }

    /** One reading at a time: all calls during a reading share the next one. */
    async function refresh() {
        await reading;
        reading ||= readInTime().finally(() => (reading = null));
        await reading;
    }

    function refreshIn(milliseconds) {
        const own = browser.setTimeout(async () => {
            const started = Date.now();
            if (live.on && !document.hidden && !isPaused()) {
                await refresh();
            }
            if (timer === own) {
                // The time that the computer slept does not count.
                const took = Math.min(Date.now() - started, PATIENCE);
                refreshIn(Math.max(delay(), took * REFRESH_DELAY_FACTOR));
            }
        }, milliseconds);
        timer = own;
    }

    function restart() {
        browser.clearTimeout(timer);
        refreshIn(delay());
    }

    const live = useState({ on: true, failure: "", refresh, restart });
    useExternalListener(document, "visibilitychange", () => {
        if (live.on && !document.hidden && !isPaused()) {
            refresh();
        }
    });
    onMounted(restart);
    onWillUnmount(() => {
        browser.clearTimeout(timer);
        timer = null;
    });
    return live;
}
