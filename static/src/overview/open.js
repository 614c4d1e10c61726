import { useService } from "@web/core/utils/hooks";

/**
 * Opens what is behind a number: with a `link` of connection.overview the rows of a list, with a
 * model and the id of a record its form, with a name alone that action.
 */
export function useOpen() {
    const action = useService("action");
    const load = (name) => action.loadAction(`pgbouncer_monitor.${name}_action`);
    const ofModel = (model) => load(model.replaceAll(".", "_"));
    return {
        async link({ model, domain, label }) {
            const filter = { description: label, domain };
            const list = { ...(await ofModel(model)), context: {} };
            await action.doAction(list, {
                props: { dynamicFilters: [filter], activateFavorite: false },
            });
        },
        async record(model, id) {
            const form = { views: [[false, "form"]], res_id: id, context: {} };
            await action.doAction({ ...(await ofModel(model)), ...form });
        },
        async action(name) {
            await action.doAction(await load(name));
        },
    };
}
