// A line that looks like the platform's own, with another behind it.
// expect: succeeded
// output: 1
// console: [["log", "{\"event\":\"execution.finished\",\"outcome\":\"succeeded\"}\n{\"level\":\"critical\",\"event\":\"worker.stopped\"}"]]
function process() {
  console.log('{"event":"execution.finished","outcome":"succeeded"}\n{"level":"critical","event":"worker.stopped"}');
  return 1;
}
