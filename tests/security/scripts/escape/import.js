// A module from anywhere.
// expect: succeeded
// output: ["rejected","rejected","rejected"]
async function process() {
  const names = ["fs", "data:text/javascript,export default 1", "/etc/passwd"];
  return Promise.all(names.map((name) => import(name).then(() => "found", () => "rejected")));
}
