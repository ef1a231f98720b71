// The same, further down; it has no JSON.
// expect: invalid_result
// says: revoked
function process() {
  const { proxy, revoke } = Proxy.revocable([], {});
  revoke();
  return { a: proxy };
}
