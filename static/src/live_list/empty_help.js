import { markup } from "@odoo/owl";
import { _t } from "@web/core/l10n/translation";
import { createElementWithContent } from "@web/core/utils/html";

/** The help of an action without its title, which is about no rows at all. */
function withoutTitle(help) {
    const element = createElementWithContent("div", help);
    element.querySelector("[class^='o_view_nocontent_']")?.remove();
    return markup(element.innerHTML);
}

/**
 * What a view without rows shows: why it is empty, and what to do. First what the server says, then
 * that there is a filter, then the help of the action.
 *
 * @param {string} ofServer the HTML of `_empty_help` of connection.notices, "" for none
 * @param {Component} view the controller of the view
 */
export function emptyHelp(ofServer, { env, props }) {
    if (ofServer) {
        return markup(ofServer);
    }
    const { noContentHelp } = props.info;
    const hasFilter = env.searchModel.facets.some(({ type }) => type !== "groupBy");
    if (hasFilter) {
        return markup`<p class="o_view_nocontent_empty_folder">${_t("Nothing matches the filter")}</p>
            <p>${_t("Remove a filter to see more.")}</p>
            ${withoutTitle(noContentHelp || "")}`;
    }
    return noContentHelp;
}

/** Says why a list or cards are empty: see withReading. */
export const withEmptyHelp = (Controller) =>
    class extends Controller {
        get emptyHelp() {
            return emptyHelp(this.reading?.empty_help, this);
        }
    };
