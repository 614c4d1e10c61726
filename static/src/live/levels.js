import { _t } from "@web/core/l10n/translation";

/**
 * How each level is shown: by its name and its icon, not by a color alone. The classes of `badge`
 * have enough contrast, unlike white on Odoo's green.
 */
export const LEVELS = {
    ok: {
        color: "success",
        badge: "bg-success-subtle text-success-emphasis",
        icon: "fa-check-circle",
        label: _t("OK"),
    },
    warning: {
        color: "warning",
        badge: "text-bg-warning",
        icon: "fa-exclamation-triangle",
        label: _t("Warning"),
    },
    critical: {
        color: "danger",
        badge: "text-bg-danger",
        icon: "fa-times-circle",
        label: _t("Critical"),
    },
    hint: {
        color: "info",
        badge: "text-bg-info",
        icon: "fa-lightbulb-o",
        label: _t("Hint"),
    },
    unknown: {
        color: "secondary",
        badge: "text-bg-secondary",
        icon: "fa-question-circle",
        label: _t("Unknown"),
    },
};
