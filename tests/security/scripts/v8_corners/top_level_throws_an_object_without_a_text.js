// The top level throws what has no way to a text.
// expect: threw
throw Object.create(null);
