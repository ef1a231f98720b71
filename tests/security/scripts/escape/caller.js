// Who called `process`, and with what.
// expect: succeeded
// input: {"a":1}
// output: [null,null,true]
function process(data) {
  return [process.caller, arguments.callee.caller, process.arguments[0] === data];
}
