// A name with the mark that ends names.
// expect: threw
// error: Error: TypeError: not one
// place: 5:7
throw new Error("TypeError: not one");
