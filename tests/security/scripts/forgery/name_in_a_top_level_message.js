// A name with the mark that ends names.
// expect: threw
// error: Error: TypeError: not one
// place: 5:1
throw new Error("TypeError: not one");
