// Getters that make getters.
// expect: threw
// error: RangeError: Maximum call stack size exceeded
function process() {
  const holder = { get next() { return Object.create(this).next; } };
  return holder.next;
}
