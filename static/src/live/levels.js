import { _t } from "@web/core/l10n/translation";

/**
 * How each level is shown: by its word and its icon, not by a color alone. The classes of `badge`
 * can be read by everybody: white on Odoo's green cannot.
 */
export const LEVELS = {
    ok: {
        color: "success",
        badge: "bg-success-subtle text-success-emphasis",
        icon: "fa-check-circle",
        word: _t("OK"),
    },
    warning: {
        color: "warning",
        badge: "text-bg-warning",
        icon: "fa-exclamation-triangle",
        word: _t("Warning"),
    },
    critical: {
        color: "danger",
        badge: "text-bg-danger",
        icon: "fa-times-circle",
        word: _t("Critical"),
    },
    unknown: {
        color: "secondary",
        badge: "text-bg-secondary",
        icon: "fa-question-circle",
        word: _t("Unknown"),
    },
};
