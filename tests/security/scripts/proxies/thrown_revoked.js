// A thrown proxy without a target.
// expect: threw
// error: object: [object]
function process() {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  throw proxy;
}
