import { browser } from "@web/core/browser/browser";
import { registry } from "@web/core/registry";

const ROOT_MENU = "pgbouncer_monitor.pgbouncer_monitor_menu_root";

// What the screens of the app show.
const MODELS = new Set([
    "connection.advice",
    "connection.alert",
    "connection.check",
    "connection.comparison",
    "connection.endpoint",
    "connection.plan",
    "connection.refusal",
    "connection.rule",
    "connection.sample",
    "pg.stat.activity",
    "pgbouncer.client",
    "pgbouncer.database",
    "pgbouncer.peer",
    "pgbouncer.pool",
    "pgbouncer.server",
    "pgbouncer.setting",
    "pgbouncer.stat",
    "pgbouncer.user",
]);

const isOurs = ({ res_model: model, tag }) =>
    model ? MODELS.has(model) : Boolean(tag?.startsWith("pgbouncer_monitor."));

/**
 * Shows the menu of the app around its screens, however they were opened: Odoo itself leaves the menu as
 * it is when a form opens from a message, an activity or an address with the name of a model. On the way
 * back, the menu that was left is shown again.
 */
export const appService = {
    dependencies: ["action", "menu"],
    start(env, { action, menu }) {
        let last = null; // the controller that was shown before
        let left = null; // the one from which the app was opened, and its own app

        const getMenu = () => menu.getApps().find(({ xmlid }) => xmlid === ROOT_MENU);

        /** Whether an app has the screens in its menu: so has Settings in developer mode. */
        function hasScreens(tree) {
            return (
                tree.xmlid.startsWith("pgbouncer_monitor.") || tree.childrenTree.some(hasScreens)
            );
        }

        function follow() {
            const controller = action.currentController;
            const app = getMenu();
            const current = menu.getCurrentApp();
            if (!controller || !app) {
                return;
            }
            if (isOurs(controller.action)) {
                if (!current || !hasScreens(menu.getMenuAsTree(current.id))) {
                    left = { jsId: last, app: current };
                    menu.setCurrentMenu(app);
                }
            } else if (controller.jsId === left?.jsId && current === app) {
                menu.setCurrentMenu(left.app);
            }
            last = controller.jsId;
        }

        // The web client sets the menu of an address right after this event.
        env.bus.addEventListener("ACTION_MANAGER:UI-UPDATED", () => browser.setTimeout(follow));

        return {
            /** The root menu of the app, undefined for users who do not have it. */
            getMenu,

            /** Opens a screen in the app, also where the menu of another app has it, too. */
            async open(request, options = {}) {
                const onActionReady = () => menu.setCurrentMenu(getMenu());
                await action.doAction(request, {
                    clearBreadcrumbs: true,
                    onActionReady,
                    ...options,
                });
            },
        };
    },
};

registry.category("services").add("pgbouncer_monitor.app", appService);
