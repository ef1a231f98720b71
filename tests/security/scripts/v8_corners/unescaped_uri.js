// Halves of characters as addresses.
// expect: threw
// error: URIError: URI malformed
function process() {
  return encodeURIComponent("\ud800");
}
