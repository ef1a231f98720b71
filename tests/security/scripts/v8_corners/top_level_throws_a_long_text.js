// The top level throws a text of fifty million characters.
// expect: threw
// limits: memory_bytes=536870912
throw new Error("x".repeat(5e7));
