import { deserializeDateTime, formatDateTime } from "@web/core/l10n/dates";
import { _t } from "@web/core/l10n/translation";
import { formatFloat, formatInteger } from "@web/views/fields/formatters";
import { timeOfDay } from "@pgbouncer_monitor/live/live";

const number = (value) => (value === null ? "?" : formatInteger(value));

/** The sentences of the first screen, each as a whole, for the sake of other languages. */
export const texts = {
    number,
    ofNumber: (part, whole) =>
        _t("%(part)s of %(whole)s", { part: number(part), whole: number(whole) }),
    percent: (percent) => {
        const digits = [16, percent >= 10 ? 0 : 1];
        return _t("%s %", percent === null ? "?" : formatFloat(percent, { digits }));
    },
    // Of what not all can be seen: "?" or "3+".
    atLeast: (count, isCertain) => (isCertain ? number(count) : count ? `${number(count)}+` : "?"),

    // A card
    used({ kind, used, capacity, left }) {
        if (used === null) {
            return _t("Connections: unknown");
        }
        if (left === null) {
            return _t("%s connected, the limit is unknown", number(used));
        }
        const told = { used: number(used), capacity: number(capacity), left: number(left) };
        return kind === "postgresql"
            ? _t("%(used)s of %(capacity)s usable, %(left)s left", told)
            : _t("%(used)s of %(capacity)s clients, %(left)s left", told);
    },
    waiting({ waiting, maxwait, waiting_mean }) {
        if (waiting === null) {
            return _t("Waiting clients: unknown");
        }
        return waiting
            ? _t("%(waiting)s waiting, the longest for %(maxwait)s", {
                  waiting: number(waiting),
                  maxwait: maxwait ?? "?",
              })
            : waiting_mean >= 1
              ? _t(
                    "Nobody waits now; on average %s did since the last sample",
                    number(Math.round(waiting_mean)),
                )
              : _t("Nobody waits");
    },
    fullestPool: ({ name, used, capacity, pressure }) =>
        _t("Fullest pool: %(name)s, %(used)s of %(capacity)s servers, %(percent)s", {
            name,
            used: number(used),
            capacity: number(capacity),
            percent: texts.percent(pressure),
        }),
    silence: ({ last_seen, last_seen_age }) =>
        last_seen
            ? _t("No answer now. The last was at %(time)s, %(age)s ago.", {
                  time: timeOfDay(last_seen),
                  age: last_seen_age,
              })
            : _t("No answer now, and no sample ever got one."),
    lastSample: ({ sample_age }) => _t("Last sample: %s ago", sample_age),

    // The screen
    interval: (seconds) => (seconds ? _t("Every %s s", seconds) : _t("Paused")),
    failure: (data, failure) =>
        data
            ? _t("This is of %(time)s. It could not be read again: %(failure)s", {
                  time: timeOfDay(data.read_at),
                  failure,
              })
            : _t("It could not be read: %s", failure),
    levelCount: (count, word) => `${number(count)} ${word}`,
    openAlerts: (count) => _t("Open alerts: %s", number(count)),
    showAll: (count) => _t("Show All %s Endpoints", number(count)),
    more: (count) => _t("… and %s more", number(count)),
    none: (unseen) =>
        unseen
            ? _t("None that can be seen. What %s sessions do is unknown.", number(unseen))
            : _t("None for a second or longer"),
    unknownPools: (count) => _t("Unknown for %s pools", number(count)),
    silent: (names) => _t("Unknown, because there is no answer: %s", names.join(", ")),
    untold: (names) =>
        _t(
            "There is no answer, so that their connections cannot be told from others: %s",
            names.join(", "),
        ),

    // A session
    pid: (pid) => _t("PID %s", pid),
    blocks: (count) => _t("blocks %s", number(count)),
    client: ({ client_id, client }) =>
        client_id ? _t("PgBouncer client %s", client) : _t("client %s", client),
    pool: (pool) => _t("pool %s", pool),
    state({ parent, blocked_age, state, state_age, xact_age }) {
        if (Number.isInteger(parent)) {
            return _t("waits for PID %(parent)s, for %(blocked_age)s", {
                parent,
                blocked_age: blocked_age ?? "?",
            });
        }
        if (!state || !state_age) {
            return state || "";
        }
        return xact_age
            ? _t("%(state)s for %(state_age)s, its transaction is open for %(xact_age)s", {
                  state,
                  state_age,
                  xact_age,
              })
            : _t("%(state)s for %(state_age)s", { state, state_age });
    },

    // Who holds the connections
    limit: ({ max_connections, reserved }) =>
        _t("max_connections is %(max_connections)s, of which %(reserved)s are reserved.", {
            max_connections: number(max_connections),
            reserved: number(reserved),
        }),
    behind: (name) => _t("Behind %s", name),
    clients: (count) => _t("Clients: %s", number(count)),
    servers: (count) => _t("Server connections that they share: %s", number(count)),

    // An alert
    alert({ is_open, opened_at, duration, worst }) {
        const told = { time: formatDateTime(deserializeDateTime(opened_at)), duration, worst };
        return is_open
            ? _t("Open since %(time)s, for %(duration)s. Worst: %(worst)s.", told)
            : _t("Over. It opened at %(time)s and lasted %(duration)s. Worst: %(worst)s.", told);
    },
    advice: (advice) => _t("What to do first: %s", advice),
    acknowledged: (name) => _t("Acknowledged by %s", name),
};
