// The top level throws what throws when it becomes a text.
// expect: threw
throw { toString() { throw new Error("liar"); }, get stack() { throw 1; }, get message() { throw 2; } };
