// A result without a target.
// expect: threw
// error: TypeError: Cannot perform 'get' on a proxy that has been revoked
function process() {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}
