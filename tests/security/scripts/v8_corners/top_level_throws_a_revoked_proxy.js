// The top level throws a proxy without a target.
// expect: threw
const { proxy, revoke } = Proxy.revocable({}, {});
revoke();
throw proxy;
