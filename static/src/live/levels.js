import { _t } from "@web/core/l10n/translation";

/** How each level is shown: by its word and its icon, not by a colour alone. */
export const LEVELS = {
    ok: { color: "success", icon: "fa-check-circle", word: _t("OK") },
    warning: { color: "warning", icon: "fa-exclamation-triangle", word: _t("Warning") },
    critical: { color: "danger", icon: "fa-times-circle", word: _t("Critical") },
    unknown: { color: "secondary", icon: "fa-question-circle", word: _t("Unknown") },
};
