// Decide whether texts have the formats that JSON Schema names.

export const FORMATS = { __proto__: null };
