import { registry } from "@web/core/registry";
import { FloatField, floatField } from "@web/views/fields/float/float_field";
import { parseFloat } from "@web/views/fields/parsers";

const UNITS = ["B", "kB", "MB", "GB", "TB"];

/** A whole number that can be cleared, and may be larger than Odoo's own field accepts: the plan says what is wrong. */
export class PlanIntegerField extends FloatField {
    static defaultProps = { ...FloatField.defaultProps, digits: [16, 0] };

    parse(value) {
        const parsed = value.trim() ? super.parse(value) : false;
        return typeof parsed === "number" ? Math.trunc(parsed) : parsed;
    }
}

/** A size in bytes, entered and shown with a unit, as in postgresql.conf: 16 GB. */
export class PlanBytesField extends FloatField {
    parse(value) {
        const [, number, unit] = value.match(/^(.*?)\s*([kmgt]?b)?\s*$/i);
        if (!number.trim()) {
            return false;
        }
        const power = UNITS.findIndex((name) => name.toLowerCase() === unit?.toLowerCase());
        return Math.round(parseFloat(number) * 1024 ** Math.max(power, 0));
    }

    get formattedValue() {
        if (this.value === false) {
            return "";
        }
        let [size, power] = [this.value, 0];
        while (Math.abs(size) >= 1024 && power < UNITS.length - 1) {
            size /= 1024;
            power++;
        }
        return `${Number(size.toFixed(1))} ${UNITS[power]}`;
    }
}

for (const [name, component] of [
    ["plan_integer", PlanIntegerField],
    ["plan_bytes", PlanBytesField],
]) {
    registry.category("fields").add(name, {
        ...floatField,
        component,
        supportedTypes: ["integer"],
        extractProps: ({ options }) => ({ formatNumber: options.enable_formatting ?? true }),
    });
}
