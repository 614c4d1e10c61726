import { deserializeDateTime, formatDateTime } from "@web/core/l10n/dates";
import { _t } from "@web/core/l10n/translation";
import { formatFloat, formatInteger } from "@web/views/fields/formatters";
import { labelled, timeOfDay } from "@pgbouncer_monitor/live/live";

const number = (value) => (value === null ? "?" : formatInteger(value));

/** The texts of the Overview. Each is a complete sentence, so that it can be translated. */
export const texts = {
    number,
    ofNumber: (part, whole) =>
        _t("%(part)s of %(whole)s", { part: number(part), whole: number(whole) }),
    percent: (percent) => {
        const digits = [16, percent >= 10 ? 0 : 1];
        const text = _t("%(percent)s %", {
            percent: percent === null ? "?" : formatFloat(percent, { digits }),
        });
        return text.replaceAll(" ", "\u00a0"); // no line break before the sign
    },
    labelled,
    // If not everything is visible: "?" or "3+".
    atLeast: (count, isCertain) => (isCertain ? number(count) : count ? `${number(count)}+` : "?"),

    // A card
    used({ kind, used, capacity, left }) {
        if (used === null) {
            return _t("Connections: unknown");
        }
        if (left === null) {
            return _t("%s connected, limit unknown", number(used));
        }
        const params = { used: number(used), capacity: number(capacity), left: number(left) };
        return kind === "postgresql"
            ? _t("%(used)s of %(capacity)s connections, %(left)s left", params)
            : _t("%(used)s of %(capacity)s clients, %(left)s left", params);
    },
    waiting({ waiting, maxwait, waiting_mean }) {
        if (waiting === null) {
            return _t("Waiting clients: unknown");
        }
        return waiting
            ? _t("%(waiting)s waiting, longest wait %(maxwait)s", {
                  waiting: number(waiting),
                  maxwait: maxwait ?? "?",
              })
            : waiting_mean >= 1
              ? _t(
                    "No clients waiting now; %s on average since the last sample",
                    number(Math.round(waiting_mean)),
                )
              : _t("No clients waiting");
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
            ? _t("No answer. Last answer at %(time)s, %(age)s ago.", {
                  time: timeOfDay(last_seen),
                  age: last_seen_age,
              })
            : _t("No answer. No sample has succeeded so far."),
    lastSample: ({ sample_age }) => _t("Last sample: %s ago", sample_age),

    // The screen
    interval: (seconds) => (seconds ? _t("Every %s s", seconds) : _t("Refresh paused")),
    failure: (data, failure) =>
        data
            ? _t("Data from %(time)s. Refresh failed: %(failure)s", {
                  time: timeOfDay(data.read_at),
                  failure,
              })
            : _t("Loading failed: %s", failure),
    levelCount: (count, word) => `${number(count)} ${word}`,
    openAlerts: (count) => _t("Open alerts: %s", number(count)),
    showAll: (count) => _t("Show All %s Endpoints", number(count)),
    more: (count) => _t("… and %s more", number(count)),
    none: (unseen) =>
        unseen
            ? _t("None visible. Sessions with unknown activity: %s", number(unseen))
            : _t("None for 1 s or longer"),
    unknownPools: (count) => _t("Pools with unknown state: %s", number(count)),
    planner: _t("Open the Planner"),
    silent: (names) => _t("Unknown for PgBouncers that do not answer: %s", names.join(", ")),
    unassigned: (names) =>
        _t("Counted under other components, because they do not answer: %s", names.join(", ")),

    // A session
    pid: (pid) => _t("PID %s", pid),
    blocks: (count) => _t("blocks %s", number(count)),
    client: ({ client_id, client }) =>
        client_id ? _t("PgBouncer client %s", client) : _t("client %s", client),
    pool: (pool) => _t("pool %s", pool),
    state({ parent, blocked_age, state, state_age, xact_age }) {
        if (Number.isInteger(parent)) {
            return _t("waiting for PID %(parent)s for %(blocked_age)s", {
                parent,
                blocked_age: blocked_age ?? "?",
            });
        }
        if (!state || !state_age) {
            return state || "";
        }
        return xact_age
            ? _t("%(state)s for %(state_age)s, transaction open for %(xact_age)s", {
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
    clientsOf: (name) => _t("Clients of %s", name),
    clients: (count) => _t("Clients: %s", number(count)),
    servers: (count) => _t("Server connections: %s", number(count)),

    // An alert
    alert({ is_open, opened_at, duration, worst }) {
        const date_time = formatDateTime(deserializeDateTime(opened_at));
        const params = { date_time, duration, worst };
        return is_open
            ? _t("Open since %(date_time)s (%(duration)s). Worst value: %(worst)s.", params)
            : _t(
                  "Resolved. Opened at %(date_time)s, lasted %(duration)s. Worst value: %(worst)s.",
                  params,
              );
    },
    advice: (advice) => _t("Recommendation: %s", advice),
    acknowledged: (name) => _t("Acknowledged by %s", name),
};
