/** A model's JSON Schema, read as the fields of a form. */

/**
 * @typedef {object} Field
 * @property {string} name
 * @property {"text" | "integer" | "number" | "choice" | "switch" | "instant" | "list"} kind
 * @property {string} title
 * @property {string} help
 * @property {any} initial What the model takes when the field is left out.
 * @property {number} [least]
 * @property {number} [most]
 * @property {number} [step]
 * @property {number} [longest] Characters, or items of a list.
 * @property {string[]} [choices]
 * @property {string[]} [examples]
 * @property {boolean} isRefused The model does not take it; `help` says why.
 */

/** What is asked before a daemon has published a model: the door takes it, and it waits. */
export const UNKNOWN_MODEL = {
  properties: {
    prompt: { type: "string" },
    negative_prompt: { type: "string" },
    count: { type: "integer", minimum: 1, maximum: 100, default: 1 },
    seed: { type: "integer", minimum: 0, maximum: Number.MAX_SAFE_INTEGER },
  },
};

/**
 * The fields of a model's requests, by name, in the schema's order.
 * @returns {Map<string, Field>}
 */
export function fieldsOf(schema) {
  return new Map(
    Object.entries(schema.properties ?? {}).map(([name, property]) => [
      name,
      fieldOf(name, property),
    ]),
  );
}

/** The fields of one LoRA of a request. */
export function loraFieldsOf(schema) {
  const reference = schema.properties?.loras?.items?.$ref ?? "";
  return fieldsOf(schema.$defs?.[reference.split("/").pop()] ?? {});
}

/**
 * The largest value of `name` while the form holds `values`: a rule such as "with sampler lcm at
 * most 50 steps" lowers the field's own.
 */
export function mostOf(schema, field, values) {
  const rules = (schema.allOf ?? []).filter((rule) => holds(rule.if, values));
  const limits = rules.map((rule) => rule.then?.properties?.[field.name]?.maximum ?? Infinity);
  return Math.min(field.most ?? Infinity, ...limits);
}

function holds(condition, values) {
  return Object.entries(condition?.properties ?? {}).every(
    ([name, property]) => values[name] === property.const,
  );
}

/** @returns {Field} */
function fieldOf(name, property) {
  // A field that may be null is an anyOf; what it is otherwise is what there is to ask.
  const branch = property.anyOf?.find((option) => option.type !== "null") ?? property;
  return {
    name,
    kind: kindOf(branch),
    title: property.title ?? name,
    help: property.description ?? "",
    initial: property.default ?? null,
    least: branch.minimum,
    most: branch.maximum,
    step: branch.multipleOf,
    longest: branch.maxLength ?? branch.maxItems,
    choices: branch.enum,
    examples: property.examples,
    isRefused: "x-refusal" in property,
  };
}

function kindOf(branch) {
  if (branch.enum) return "choice";
  if (branch.format === "date-time") return "instant";
  const kinds = { integer: "integer", number: "number", boolean: "switch", array: "list" };
  return kinds[branch.type] ?? "text";
}
