import { registry } from "@web/core/registry";

/** The screens below a menu of the app, each as a command. */
function screens(menu, tree, parents = []) {
    const path = [...parents, tree.name];
    if (tree.childrenTree.length) {
        return tree.childrenTree.flatMap((child) => screens(menu, child, path));
    }
    return [{ name: path.join(" / "), category: "app", action: () => menu.selectMenu(tree) }];
}

// Odoo itself finds menus after a "/" only.
registry.category("command_provider").add("pgbouncer_monitor.screens", {
    provide({ services: { menu, "pgbouncer_monitor.app": app } }, { searchValue }) {
        const root = app.getMenu();
        return searchValue && root ? screens(menu, menu.getMenuAsTree(root.id)) : [];
    },
});
