import { registry } from "@web/core/registry";
import { FloatField, floatField } from "@web/views/fields/float/float_field";

/** A number that can be cleared: Odoo's own field turns an empty input into 0. */
export class NullableFloatField extends FloatField {
    parse(value) {
        return value.trim() ? super.parse(value) : false;
    }
}

registry.category("fields").add("nullable_float", {
    ...floatField,
    component: NullableFloatField,
    supportedTypes: ["float", "integer"],
});
