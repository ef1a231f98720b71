// The top level throws `undefined`.
// expect: threw
// place: 4:1
throw undefined;
