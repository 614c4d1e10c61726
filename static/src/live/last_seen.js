// More rows than this are not kept: a page of a list has 80.
const MAX_ROWS = 1000;

const seen = new Map();

/**
 * Keeps what a list or a form shows of live rows, for the form of one that is gone. A reload of the page forgets it.
 *
 * @param {string} resModel
 * @param {Object[]} rows as the server sends them
 * @param {string} readAt the time of the reading, in UTC
 */
export function remember(resModel, rows, readAt) {
    if (seen.size > MAX_ROWS) {
        seen.clear();
    }
    for (const values of rows) {
        seen.set(`${resModel},${values.id}`, { values, readAt });
    }
}

/** Returns `values` and `readAt` of a row when it was last seen; undefined if it was not. */
export function lastSeen(resModel, resId) {
    return seen.get(`${resModel},${resId}`);
}
