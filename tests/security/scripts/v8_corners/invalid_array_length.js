// An array longer than arrays may be.
// expect: threw
// error: RangeError: Invalid array length
function process() {
  const array = [];
  array.length = 2 ** 32;
}
