import { onMounted, onWillUnmount, useExternalListener, useState } from "@odoo/owl";
import { browser } from "@web/core/browser/browser";
import { deserializeDateTime } from "@web/core/l10n/dates";
import { _t } from "@web/core/l10n/translation";

// How long to wait before servers are read again, in milliseconds.
export const REFRESH_DELAY = 5000;
// A slow reading is followed by so many times its own duration: it must not keep Odoo's workers busy.
const REFRESH_DELAY_FACTOR = 2;
// After so many milliseconds without an answer the user is told that what is shown is old.
const PATIENCE = 15000;

/** The time of a reading on the user's clock, e.g. 14:03:05. */
export function timeOfDay(utc) {
    return utc ? deserializeDateTime(utc).toFormat("HH:mm:ss") : "";
}

/**
 * Reads again and again what a component shows. It rests while the page is hidden; what was read
 * stays if a reading fails.
 *
 * @param {Object} params
 * @param {() => Promise} params.read
 * @param {() => boolean} [params.isPaused]
 * @param {() => number} [params.delay] milliseconds between two readings
 * @returns {{on: boolean, failure: string, refresh: () => Promise, restart: () => void}} whether it
 *      reads by itself; why the last reading failed; reads now; waits for the next reading anew
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

    /** One reading at a time: all who ask meanwhile get the next one. */
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
                // A computer that slept meanwhile was not busy.
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
