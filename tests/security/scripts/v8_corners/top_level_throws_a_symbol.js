// The top level throws what cannot become a text.
// expect: threw
throw Symbol("thrown");
