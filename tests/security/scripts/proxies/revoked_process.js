// `process` was a function once.
// expect: threw
// error: TypeError: Cannot perform 'apply' on a proxy that has been revoked
const { proxy: process, revoke } = Proxy.revocable(() => 1, {});
revoke();
