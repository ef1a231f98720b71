// A typed array longer than these may be.
// expect: threw
// error: RangeError: Invalid typed array length: 9007199254740991
function process() {
  return new Uint8Array(2 ** 53 - 1);
}
